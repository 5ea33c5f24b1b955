-- What matching and the life of a conversion add to the correlator's tables, and `<kind>_as_of` for the kinds that had none.

-- source: who told the newest version. qualified: by the catalogue's rule, and no duplicate.
ALTER TABLE conversion_match
    ADD COLUMN IF NOT EXISTS source LowCardinality(String) AFTER restated_at,
    ADD COLUMN IF NOT EXISTS qualified Bool AFTER source;
ALTER TABLE matching_fact
    ADD COLUMN IF NOT EXISTS source LowCardinality(String) AFTER restated_at,
    ADD COLUMN IF NOT EXISTS qualified Bool AFTER source;

-- click_key: which clicks came with a platform key that can stand for many people (core/identity.py: MATCH_PARAMETERS), for look-ups by it.
-- Grain: (key, click_id); key = first 16 bytes of SHA-256 over <name>:<value>, as a click ID is derived, but it is none.
CREATE TABLE IF NOT EXISTS click_key
(
    key FixedString(16),
    click_id FixedString(16)
)
ENGINE = ReplacingMergeTree
ORDER BY (key, click_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS click_key_from_journal TO click_key AS
SELECT
    toFixedString(substring(SHA256(concat(name, ':', platform_ids[name])), 1, 16), 16) AS key,
    toFixedString(unhex(click_id), 16) AS click_id
FROM inbox_click
ARRAY JOIN arrayFilter(parameter -> platform_ids[parameter] != '', ['gbraid', 'wbraid', 'li_fat_id']) AS name;
