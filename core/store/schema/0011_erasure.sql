-- Erasure: the tombstone records, and what an erasure works with.

-- erasure: One erasure per row (fact_id): who asked by which sort of identifier, and the keyed digests of what may not come back. No value of
-- a person stands here. `digests` and `untils` (ms) run parallel: facts up to then are erased;
-- `secret` tells apart what the digests are keyed with.
CREATE TABLE IF NOT EXISTS erasure
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    subject LowCardinality(String),
    digests Array(String),
    untils Array(Int64),
    secret LowCardinality(String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (ts, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_erasure
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    subject String,
    digests Array(String),
    untils Array(Int64),
    secret String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS erasure_from_journal TO erasure AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    subject,
    digests,
    untils,
    secret
FROM inbox_erasure;

-- erasure_line, erasure_key: what the running erasure deletes, emptied when it ends. Grain: journal line (segment, o); identifier (name, value).
-- The engine keeps the text of a deletion for a while, so it names these tables and never a value.
CREATE TABLE IF NOT EXISTS erasure_line (segment String, o UInt64) ENGINE = MergeTree ORDER BY (segment, o);

CREATE TABLE IF NOT EXISTS erasure_key (name LowCardinality(String), value String) ENGINE = MergeTree ORDER BY (name, value);

-- erasure_as_of: what had been erased by {as_of}. Grain: that of the table.
CREATE VIEW IF NOT EXISTS erasure_as_of AS SELECT * FROM erasure WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
