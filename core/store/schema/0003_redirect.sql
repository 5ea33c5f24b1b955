-- What the full redirect service adds to the store: checks of destinations, traffic quality.

-- check: One look of the destination watch at a URL per row.
CREATE TABLE IF NOT EXISTS check
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    url String CODEC(ZSTD),
    host LowCardinality(String),
    state LowCardinality(String),
    holds_until DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    findings Array(LowCardinality(String)),
    details Array(String),
    links Array(String),
    campaigns Array(LowCardinality(String)),
    clients Array(LowCardinality(String)),
    statuses Array(UInt16),
    final_url String CODEC(ZSTD),
    ttfb_ms UInt32,
    certificate_expires DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    click_id_survived Bool,
    title String CODEC(ZSTD),
    accepted_by LowCardinality(String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (host, url, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_check
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    url String,
    host String,
    state String,
    holds_until Int64,
    findings Array(String),
    details Array(String),
    links Array(String),
    campaigns Array(String),
    clients Array(String),
    statuses Array(UInt16),
    final_url String,
    ttfb_ms UInt32,
    certificate_expires Int64,
    click_id_survived Bool,
    title String,
    accepted_by String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS check_from_journal TO check AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    url,
    host,
    state,
    fromUnixTimestamp64Milli(holds_until, 'UTC') AS holds_until,
    findings,
    details,
    links,
    campaigns,
    clients,
    statuses,
    final_url,
    ttfb_ms,
    fromUnixTimestamp64Milli(certificate_expires, 'UTC') AS certificate_expires,
    click_id_survived,
    title,
    accepted_by
FROM inbox_check;

-- canary: One step (click or touch) of a canary click per row. Never joined with people's clicks.
CREATE TABLE IF NOT EXISTS canary
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    click_id FixedString(16),
    step LowCardinality(String),
    link_id LowCardinality(String),
    slug LowCardinality(String),
    domain LowCardinality(String),
    http_status UInt16,
    reason LowCardinality(String),
    duration_us UInt32,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (ts, click_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_canary
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    click_id String,
    step String,
    link_id String,
    slug String,
    domain String,
    http_status UInt16,
    reason String,
    duration_us UInt32
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS canary_from_journal TO canary AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    toFixedString(unhex(click_id), 16) AS click_id,
    step,
    link_id,
    slug,
    domain,
    http_status,
    reason,
    duration_us
FROM inbox_canary;

-- --- traffic quality (correlator/traffic_quality.py) -----------------------------------------------------------------------------

-- hit, once more: `no_accept` alone makes no bot, because some apps report the clicks of real people so (redirect/reasons.py).
CREATE OR REPLACE VIEW hit AS
SELECT
    click.*,
    d.device AS device,
    d.browser AS browser,
    d.os AS os,
    d.bot OR notEmpty(arrayFilter(signal -> signal != 'no_accept', click.bot_signals)) AS bot,
    click.http_status >= 400 AS lost
FROM click
LEFT ANY JOIN (SELECT user_agent, device, browser, os, bot FROM user_agent_dim FINAL) AS d ON d.user_agent = click.user_agent;

-- network_dim: each distinct truncated network, looked up once in the lists of data-centre networks that the user brings. Grain: network.
-- `lists` is a hash of those lists: rows of other lists are no longer true and are looked up again. Read it with FINAL.
CREATE TABLE IF NOT EXISTS network_dim
(
    network String,
    datacenter Bool,
    owner LowCardinality(String),
    lists String,
    looked_up_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(looked_up_at)
ORDER BY network
SETTINGS non_replicated_deduplication_window = 10000;

-- traffic_window: ten minutes of event time: when a row that counts in it was loaded last, when one that only speaks about those (a touch)
-- was, and when it was judged last; all by the store's clock. Grain: (kind, window); kind = hit or conversion. A row that counts also belongs
-- to what is usual in the 24 hours after it. Read it with GROUP BY kind, window and max(…).
CREATE TABLE IF NOT EXISTS traffic_window
(
    kind LowCardinality(String),
    window DateTime('UTC'),
    counted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    touched_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    judged_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (kind, window)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_window_of_clicks TO traffic_window AS
SELECT 'hit' AS kind, toDateTime(intDiv(ts, 600000) * 600, 'UTC') AS window, now64(3, 'UTC') AS counted_at
FROM inbox_click
GROUP BY window;

CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_window_of_conversions TO traffic_window AS
SELECT 'conversion' AS kind, toDateTime(intDiv(ts, 600000) * 600, 'UTC') AS window, now64(3, 'UTC') AS counted_at
FROM inbox_conversion
GROUP BY window;

-- A page view belongs to a hit up to five minutes before it or one minute after it, a form to a conversion up to an hour after it.
CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_window_of_touches TO traffic_window AS
SELECT if(name = 'page_view', 'hit', 'conversion') AS kind, toDateTime(bucket * 600, 'UTC') AS window, now64(3, 'UTC') AS touched_at
FROM inbox_touch
ARRAY JOIN if(name = 'page_view', range(toUInt64(intDiv(ts - 300000, 600000)), toUInt64(intDiv(ts + 60000, 600000)) + 1),
    range(toUInt64(intDiv(ts - 300000, 600000)), toUInt64(intDiv(ts + 3600000, 600000)) + 1)) AS bucket
WHERE name IN ('page_view', 'form_start', 'form_submit') AND ts > 3600000
GROUP BY kind, window;

-- traffic_due, traffic_hit, traffic_loud, traffic_conversion: what the running tick judges, emptied at every tick. Grain: (kind, window); hit;
-- (window, campaign, flag, source) as correlator/sql/traffic_loud_source.sql says; conversion (fact_id). landed_ms: from the hit to its page view. form_ms: from form_start to the form_submit before the conversion, delay_ms: from
-- click to conversion, both -1 = unknown.
CREATE TABLE IF NOT EXISTS traffic_due
(
    kind LowCardinality(String),
    window DateTime('UTC')
)
ENGINE = MergeTree
ORDER BY (kind, window);

CREATE TABLE IF NOT EXISTS traffic_hit
(
    window DateTime('UTC'),
    segment LowCardinality(String),
    o UInt64,
    ts DateTime64(3, 'UTC'),
    click_id FixedString(16),
    campaign LowCardinality(String),
    page LowCardinality(String),
    network LowCardinality(String),
    network_hash FixedString(8),
    user_agent LowCardinality(String),
    visitor_id FixedString(16),
    lost Bool,
    parallel Bool,
    landed Bool,
    landed_ms Int64
)
ENGINE = MergeTree
ORDER BY (window, campaign);

CREATE TABLE IF NOT EXISTS traffic_loud
(
    window DateTime('UTC'),
    campaign LowCardinality(String),
    flag LowCardinality(String),
    source String,
    hits UInt64,
    total UInt64,
    others Float64
)
ENGINE = MergeTree
ORDER BY (window, campaign, flag);

CREATE TABLE IF NOT EXISTS traffic_conversion
(
    window DateTime('UTC'),
    fact_id String,
    ts DateTime64(3, 'UTC'),
    type LowCardinality(String),
    origin LowCardinality(String),
    value_micros Int64,
    currency LowCardinality(String),
    campaign LowCardinality(String),
    client LowCardinality(String),
    network LowCardinality(String),
    keys Array(Tuple(String, String)),
    delay_ms Int64,
    form_ms Int64
)
ENGINE = MergeTree
ORDER BY (window, campaign);

-- hit_flag: what a hit's behaviour gave away. Grain: journal line of the hit (window, segment, o). flags, observed and usual run parallel: the
-- word, the figure it rests on, and what that figure usually is (units by word: correlator/traffic_words.py). Empty flags = acquitted since.
-- `content` is a hash of the rest: a row is written only when it changed. Read it with FINAL.
CREATE TABLE IF NOT EXISTS hit_flag
(
    window DateTime('UTC'),
    segment LowCardinality(String),
    o UInt64,
    ts DateTime64(3, 'UTC'),
    flags Array(LowCardinality(String)),
    observed Array(Float32),
    usual Array(Float32),
    content UInt64,
    judged_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(judged_at)
PARTITION BY toYYYYMM(window)
ORDER BY (window, segment, o);

-- conversion_flag: the same of a conversion. Grain: conversion (fact_id). Read it with FINAL.
CREATE TABLE IF NOT EXISTS conversion_flag
(
    fact_id String,
    window DateTime('UTC'),
    ts DateTime64(3, 'UTC'),
    flags Array(LowCardinality(String)),
    observed Array(Float32),
    usual Array(Float32),
    content UInt64,
    judged_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(judged_at)
ORDER BY fact_id;
