-- network_country: the country of each distinct truncated network, by the database of countries that the user brings. Grain: network.
-- `country` is ISO 3166-1 alpha-2, '' = that database does not know it; `database` is a hash of the file it was looked up in. A country once
-- found stays, so that an old period's figures do not change with a newer file; an unknown one is looked up again in it. Read it with FINAL.
CREATE TABLE IF NOT EXISTS network_country
(
    network String,
    country LowCardinality(String),
    database String,
    looked_up_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(looked_up_at)
ORDER BY network
SETTINGS non_replicated_deduplication_window = 10000;
