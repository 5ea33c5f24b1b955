-- What the collectors add to the store: what other systems count, and what platforms say of their clicks.

-- tally: One version per row of what another system counted in [ts, ts + bucket_s).
CREATE TABLE IF NOT EXISTS tally
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    origin LowCardinality(String),
    account LowCardinality(String),
    name LowCardinality(String),
    bucket_s UInt32,
    count Float64,
    value_micros Int64,
    currency LowCardinality(String),
    campaign LowCardinality(String),
    device LowCardinality(String),
    client LowCardinality(String),
    reported_as LowCardinality(String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (origin, name, ts, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_tally
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    origin String,
    account String,
    name String,
    bucket_s UInt32,
    count Float64,
    value_micros Int64,
    currency String,
    campaign String,
    device String,
    client String,
    reported_as String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS tally_from_journal TO tally AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    origin,
    account,
    name,
    bucket_s,
    count,
    value_micros,
    currency,
    campaign,
    device,
    client,
    reported_as
FROM inbox_tally;

-- tally_as_of: what another system said at {as_of} that it had counted. Grain: tally (fact_id).
CREATE VIEW IF NOT EXISTS tally_as_of AS
SELECT
    fact_id, origin, name, ts, newest.1 AS source, newest.2 AS account, newest.3 AS bucket_s, newest.4 AS count, newest.5 AS value_micros,
    newest.6 AS currency, newest.7 AS campaign, newest.8 AS device, newest.9 AS client, newest.10 AS reported_as, newest.11 AS known_at
FROM
(
    SELECT
        fact_id, origin, name, ts,
        argMax((source, account, bucket_s, count, value_micros, currency, campaign, device, client, reported_as, known_at),
            (known_at, toString(segment), o)) AS newest
    FROM tally
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    -- Origin, name and bucket belong to the natural key, so filters on them reach the table's sorting key through the view.
    GROUP BY origin, name, ts, fact_id
);

CREATE VIEW IF NOT EXISTS tally_current AS SELECT * FROM tally_as_of(as_of=9000000000000);

-- platform_click: One version per row of what a platform says one of its clicks belongs to.
CREATE TABLE IF NOT EXISTS platform_click
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    click_id FixedString(16),
    platform LowCardinality(String),
    account LowCardinality(String),
    campaign LowCardinality(String),
    ad_group LowCardinality(String),
    creative LowCardinality(String),
    keyword LowCardinality(String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (click_id, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_platform_click
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    click_id String,
    platform String,
    account String,
    campaign String,
    ad_group String,
    creative String,
    keyword String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS platform_click_from_journal TO platform_click AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    toFixedString(unhex(click_id), 16) AS click_id,
    platform,
    account,
    campaign,
    ad_group,
    creative,
    keyword
FROM inbox_platform_click;
-- upload: One version per row of what became of a conversion on its way to an ad platform. Grain: conversion, destination and target (fact_id).
CREATE TABLE IF NOT EXISTS upload
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    destination LowCardinality(String),
    target LowCardinality(String),
    conversion String,
    event_id String,
    state LowCardinality(String),
    reason LowCardinality(String),
    client LowCardinality(String),
    value_micros Int64,
    currency LowCardinality(String),
    attempts UInt32,
    request_id String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (destination, fact_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS inbox_upload
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    destination String,
    target String,
    conversion String,
    event_id String,
    state String,
    reason String,
    client String,
    value_micros Int64,
    currency String,
    attempts UInt32,
    request_id String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS upload_from_journal TO upload AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    destination,
    target,
    conversion,
    event_id,
    state,
    reason,
    client,
    value_micros,
    currency,
    attempts,
    request_id
FROM inbox_upload;

-- upload_current: the newest state of every upload. Grain: conversion, destination and target (fact_id).
CREATE VIEW IF NOT EXISTS upload_current AS
SELECT
    fact_id,
    newest.1 AS known_at,
    newest.2 AS ts,
    newest.3 AS source,
    newest.4 AS destination,
    newest.5 AS target,
    newest.6 AS conversion,
    newest.7 AS event_id,
    newest.8 AS state,
    newest.9 AS reason,
    newest.10 AS client,
    newest.11 AS value_micros,
    newest.12 AS currency,
    newest.13 AS attempts,
    newest.14 AS request_id
FROM
(
    SELECT
        fact_id,
        argMax((known_at, ts, source, destination, target, conversion, event_id, state, reason, client, value_micros, currency, attempts,
            request_id), (known_at, toString(segment), o)) AS newest
    FROM upload
    GROUP BY fact_id
);
