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
    bucket_s UInt32,
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
    bucket_s UInt32,
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
    bucket_s,
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

-- rate: One version per row of what one unit of base was worth in another currency on a day. Sources: ecb, own.
CREATE TABLE IF NOT EXISTS rate
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    base LowCardinality(String),
    currency LowCardinality(String),
    rate Float64,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
-- Not by month: the central bank's file begins in 1999 and comes in one piece, and an insert may touch a hundred partitions.
ORDER BY (ts, base, currency)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_rate
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    base String,
    currency String,
    rate Float64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS rate_from_journal TO rate AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    base,
    currency,
    rate
FROM inbox_rate;

-- factor_of_day: what one unit of a currency is worth in {reporting} on each day (UTC) that touches [{since}, {until}), as known at {as_of}.
-- Grain: (currency, day); a day without a rate that is at most {rate_age_days} days old has no row, so nothing is mixed by mistake.
-- Columns: currency, day, factor, quoted (day of the older of the rates used).
-- A rate holds from its day on until the next one, so a weekend has Friday's. An own rate goes before the central bank's. Where no rate
-- leads straight to {reporting}, the way goes over one other currency (the central bank quotes everything against the euro).
CREATE VIEW IF NOT EXISTS factor_of_day AS
WITH
    toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')) AS first_day,
    toDate(fromUnixTimestamp64Milli({until:Int64} - 1, 'UTC')) AS last_day,
    newest AS
    (
        SELECT
            toString(base) AS base, toString(currency) AS currency, toDate(ts) AS day, source = 'own' AS own,
            argMax(rate, (known_at, toString(segment), o)) AS rate
        FROM rate
        WHERE {reporting:String} != ''
            AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            AND ts >= toDateTime64(first_day, 3, 'UTC') - toIntervalDay({rate_age_days:Int64})
            AND ts <= toDateTime64(last_day, 3, 'UTC')
        GROUP BY fact_id, base, currency, day, own
    ),
    quote AS
    (
        SELECT sold, bought, day, argMax(told, (own, asked)) AS price, argMax(asked, (own, asked)) AS said_on
        FROM
        (
            SELECT
                pair.1 AS sold, pair.2 AS bought, pair.3 AS told, own, newest.day AS asked,
                arrayJoin(arrayMap(age -> newest.day + age, range(toUInt64({rate_age_days:Int64}) + 1))) AS day
            FROM newest
            ARRAY JOIN [(base, currency, rate), (currency, base, 1 / rate)] AS pair
        )
        WHERE day >= first_day AND day <= last_day
        GROUP BY sold, bought, day
    ),
    -- By currency bought and day, all that is sold for it: one of them may be {reporting} itself, and then each has a way over this one.
    market AS
    (
        SELECT
            bought AS middle, day, groupArray((sold, price, said_on)) AS sellers,
            anyIf(price, sold = {reporting:String}) AS reporting_price, anyIf(said_on, sold = {reporting:String}) AS reporting_said_on
        FROM quote
        GROUP BY bought, day
        HAVING middle = {reporting:String} OR reporting_price > 0
    )
SELECT
    currency,
    day,
    argMin(price, (steps, -toInt32(said_on), middle)) AS factor,
    argMin(said_on, (steps, -toInt32(said_on), middle)) AS quoted
FROM
(
    SELECT
        seller.1 AS currency,
        day,
        middle,
        if(middle = {reporting:String}, 1, 2) AS steps,
        if(steps = 1, seller.2, seller.2 / reporting_price) AS price,
        if(steps = 1, seller.3, least(seller.3, reporting_said_on)) AS said_on
    FROM market
    ARRAY JOIN sellers AS seller
    WHERE currency != {reporting:String}
    UNION ALL
    SELECT
        {reporting:String} AS currency, first_day + toIntervalDay(number) AS day, '' AS middle, 0 AS steps, 1. AS price, day AS said_on
    FROM numbers(toUInt64(last_day - first_day) + 1)
    WHERE {reporting:String} != ''
)
GROUP BY currency, day;

-- reading: One row per change of how a source does (and one an hour), as its reader saw it.
CREATE TABLE IF NOT EXISTS reading
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    state LowCardinality(String),
    detail String CODEC(ZSTD),
    findings Array(LowCardinality(String)),
    details Array(String),
    last_success DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    next_attempt DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    interval_s UInt32,
    documented_lag_s UInt32,
    quota_unit LowCardinality(String),
    quota_used Float64,
    quota_limit Float64,
    quota_resets_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (source, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_reading
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    state String,
    detail String,
    findings Array(String),
    details Array(String),
    last_success Int64,
    next_attempt Int64,
    interval_s UInt32,
    documented_lag_s UInt32,
    quota_unit String,
    quota_used Float64,
    quota_limit Float64,
    quota_resets_at Int64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS reading_from_journal TO reading AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    state,
    detail,
    findings,
    details,
    fromUnixTimestamp64Milli(last_success, 'UTC') AS last_success,
    fromUnixTimestamp64Milli(next_attempt, 'UTC') AS next_attempt,
    interval_s,
    documented_lag_s,
    quota_unit,
    quota_used,
    quota_limit,
    fromUnixTimestamp64Milli(quota_resets_at, 'UTC') AS quota_resets_at
FROM inbox_reading;

-- campaign_stated_as_of: the currency in which a person gave margin, target or cost per click of a campaign, as known at {as_of}; the
-- account may be charged in another one (campaign_as_of.currency). Grain: campaign. No row where nobody gave one.
CREATE VIEW IF NOT EXISTS campaign_stated_as_of AS
SELECT campaign, argMax(toString(currency), (known_at, toString(segment), o)) AS stated_in
FROM campaign
WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    AND currency != '' AND NOT endsWith(source, '_ads') AND (margin_micros != 0 OR target_cpl_micros != 0 OR cpc_micros != 0)
GROUP BY campaign;
