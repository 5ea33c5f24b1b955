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

-- conversion_state_as_of: the life of every conversion, state by state, as known at {as_of}. Grain: (conversion, state entered).
-- A state repeated without another in between is entered once; ts is when it was entered by the first version that said so, known_at when that
-- was learned, nth counts from 1. Columns: fact_id, nth, status, ts, known_at.
CREATE VIEW IF NOT EXISTS conversion_state_as_of AS
SELECT
    fact_id,
    nth,
    entered.4 AS status,
    entered.5 AS ts,
    entered.1 AS known_at
FROM
(
    SELECT
        fact_id,
        arrayCompact(version -> version.4, arraySort(groupArray((known_at, toString(segment), o, toString(status), ts)))) AS states
    FROM conversion
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
)
ARRAY JOIN states AS entered, arrayEnumerate(states) AS nth;

-- Kinds that are told once, as known at {as_of}: a line that was learned later is not there. Grain: that of the table.
CREATE VIEW IF NOT EXISTS click_as_of AS SELECT * FROM click WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS touch_as_of AS SELECT * FROM touch WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS span_as_of AS SELECT * FROM span WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS check_as_of AS SELECT * FROM check WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS canary_as_of AS SELECT * FROM canary WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');

-- Kinds whose newest line speaks for a name, as known at {as_of}. Grain: source.
CREATE VIEW IF NOT EXISTS watermark_as_of AS
SELECT * FROM watermark WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY source;

CREATE VIEW IF NOT EXISTS reading_as_of AS
SELECT * FROM reading WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY source;

-- Kinds with versions, as known at {as_of}: the newest known_at of a fact. Grain: fact (fact_id); incident: incident_id.
CREATE VIEW IF NOT EXISTS impression_as_of AS
SELECT * FROM impression WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS platform_click_as_of AS
SELECT * FROM platform_click WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS rate_as_of AS
SELECT * FROM rate WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS upload_as_of AS
SELECT * FROM upload WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS baseline_as_of AS
SELECT * FROM baseline WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS decision_as_of AS
SELECT * FROM decision WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS incident_as_of AS
SELECT * FROM incident WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY incident_id;

-- Kinds of which some lines have versions (read from another system, fact_id says which) and the rest is told once. Grain: that of the table.
CREATE VIEW IF NOT EXISTS gauge_as_of AS
SELECT * FROM gauge WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC
LIMIT 1 BY if(fact_id = '', concat(toString(segment), ':', toString(o)), fact_id);

CREATE VIEW IF NOT EXISTS service_as_of AS
SELECT * FROM service WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC
LIMIT 1 BY if(fact_id = '', concat(toString(segment), ':', toString(o)), fact_id);

-- past_fact, past_direct, past_match: what matching_fact, matching_direct and conversion_match are to a tick, for one answer as known at a moment
-- of the past. Filled and dropped by each question; what a stopped process left behind goes with the hour. Grain: (question, conversion (fact_id)).
CREATE TABLE IF NOT EXISTS past_fact
(
    question UInt64,
    asked_at DateTime DEFAULT now(),
    fact_id String,
    is_target Bool,
    conversion_id String,
    changed_at DateTime64(3, 'UTC'),
    claimed Bool,
    ts DateTime64(3, 'UTC'),
    type LowCardinality(String),
    status LowCardinality(String),
    origin LowCardinality(String),
    value_micros Int64,
    currency LowCardinality(String),
    click_id FixedString(16),
    platform_ids Map(LowCardinality(String), String),
    visitor_id FixedString(16),
    order_id String,
    crm_id String,
    email_sha256 String,
    phone_sha256 String,
    client LowCardinality(String),
    page LowCardinality(String),
    user_agent LowCardinality(String),
    restated_at DateTime64(3, 'UTC'),
    source LowCardinality(String),
    qualified Bool
)
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR;

CREATE TABLE IF NOT EXISTS past_direct
(
    question UInt64,
    asked_at DateTime DEFAULT now(),
    fact_id String,
    best Tuple(UInt8, FixedString(16), Tuple(DateTime64(3, 'UTC'), FixedString(16), String, String, String, String, String, String, String,
        String, String, String))
)
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR;

CREATE TABLE IF NOT EXISTS past_match
(
    question UInt64,
    asked_at DateTime DEFAULT now(),
    fact_id String,
    conversion_id String,
    known_at DateTime64(3, 'UTC'),
    claimed Bool,
    ts DateTime64(3, 'UTC'),
    type LowCardinality(String),
    status LowCardinality(String),
    origin LowCardinality(String),
    value_micros Int64,
    currency LowCardinality(String),
    method LowCardinality(String),
    confidence Float32,
    click_id FixedString(16),
    click_ts DateTime64(3, 'UTC'),
    campaign LowCardinality(String),
    ad_group LowCardinality(String),
    creative LowCardinality(String),
    keyword LowCardinality(String),
    platform LowCardinality(String),
    device LowCardinality(String),
    browser LowCardinality(String),
    page LowCardinality(String),
    variant LowCardinality(String),
    client LowCardinality(String),
    link_id LowCardinality(String),
    duplicate_of String,
    restated_at DateTime64(3, 'UTC'),
    source LowCardinality(String),
    qualified Bool,
    content UInt64
)
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR;
