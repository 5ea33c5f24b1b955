-- The journal's kinds as append-only tables (design §5). For each kind: the table, an inbox that stores nothing, and the view that
-- turns journal lines into rows. Hex IDs become bytes (all zeros = absent), milliseconds become DateTime64, and the segment comes
-- from log_comment, which the shipper sets: (segment, o) names the journal line of every row.
-- Never INSERT … SELECT … FROM input(…) here: in chDB it inserts nothing and says nothing.

-- Of click, touch and conversion single rows are asked for, by their keys, all over the history: with granules of 1,024 rows instead of 8,192 a
-- look-up of 32 clicks takes two thirds of the time, and a click 4 % more room (docs/benchmarks.md).

-- click: One row per hit on a known link. Grain: hit. http_status >= 400 is a lost click.
CREATE TABLE IF NOT EXISTS click
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    click_id FixedString(16),
    hit_id FixedString(8),
    link_id LowCardinality(String),
    link_version UInt32,
    slug LowCardinality(String),
    domain LowCardinality(String),
    http_status UInt16,
    reason LowCardinality(String),
    duration_us UInt32 CODEC(T64, ZSTD),
    page LowCardinality(String),
    variant LowCardinality(String),
    routing Array(LowCardinality(String)),
    client LowCardinality(String),
    platform LowCardinality(String),
    campaign LowCardinality(String),
    ad_group LowCardinality(String),
    creative LowCardinality(String),
    keyword LowCardinality(String),
    -- Random text of 64 letters: without entropy coding a third of a click's bytes on disk.
    platform_ids Map(LowCardinality(String), String) CODEC(ZSTD),
    utm Map(LowCardinality(String), LowCardinality(String)),
    visitor_id FixedString(16),
    user_agent LowCardinality(String),
    network LowCardinality(String),
    network_hash FixedString(8),
    referrer_host LowCardinality(String),
    consent LowCardinality(String),
    parallel Bool,
    bot_signals Array(LowCardinality(String)),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1,
    PROJECTION by_click_id (SELECT _part_offset ORDER BY click_id),
    PROJECTION by_visitor_id (SELECT _part_offset ORDER BY visitor_id),
    -- Whether an import is under way is asked every minute: a row a part instead of a column of all history.
    PROJECTION by_claimed (SELECT claimed, count() GROUP BY claimed)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (campaign, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild', index_granularity = 1024;

CREATE TABLE IF NOT EXISTS inbox_click
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    click_id String,
    hit_id String,
    link_id String,
    link_version UInt32,
    slug String,
    domain String,
    http_status UInt16,
    reason String,
    duration_us UInt32,
    page String,
    variant String,
    routing Array(LowCardinality(String)),
    client String,
    platform String,
    campaign String,
    ad_group String,
    creative String,
    keyword String,
    platform_ids Map(LowCardinality(String), String),
    utm Map(LowCardinality(String), LowCardinality(String)),
    visitor_id String,
    user_agent String,
    network String,
    network_hash String,
    referrer_host String,
    consent String,
    parallel Bool,
    bot_signals Array(LowCardinality(String))
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS click_from_journal TO click AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    toFixedString(unhex(click_id), 16) AS click_id,
    toFixedString(unhex(hit_id), 8) AS hit_id,
    link_id,
    link_version,
    slug,
    domain,
    http_status,
    reason,
    duration_us,
    page,
    variant,
    routing,
    client,
    platform,
    campaign,
    ad_group,
    creative,
    keyword,
    platform_ids,
    utm,
    toFixedString(unhex(visitor_id), 16) AS visitor_id,
    user_agent,
    network,
    toFixedString(unhex(network_hash), 8) AS network_hash,
    referrer_host,
    consent,
    parallel,
    bot_signals
FROM inbox_click;

-- touch: One row per browser event.
CREATE TABLE IF NOT EXISTS touch
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    name LowCardinality(String),
    click_id FixedString(16),
    visitor_id FixedString(16),
    session_id String,
    page LowCardinality(String),
    value Float64,
    duration_ms UInt32,
    user_agent LowCardinality(String),
    attributes Map(LowCardinality(String), String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1,
    PROJECTION by_click_id (SELECT _part_offset ORDER BY click_id)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (name, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild', index_granularity = 1024;

CREATE TABLE IF NOT EXISTS inbox_touch
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    name String,
    click_id String,
    visitor_id String,
    session_id String,
    page String,
    value Float64,
    duration_ms UInt32,
    user_agent String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS touch_from_journal TO touch AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    name,
    toFixedString(unhex(click_id), 16) AS click_id,
    toFixedString(unhex(visitor_id), 16) AS visitor_id,
    session_id,
    page,
    value,
    duration_ms,
    user_agent,
    attributes
FROM inbox_touch;

-- impression: One version per row of an impression.
CREATE TABLE IF NOT EXISTS impression
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    platform LowCardinality(String),
    campaign LowCardinality(String),
    visitor_id FixedString(16),
    hashed_id String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (campaign, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_impression
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    platform String,
    campaign String,
    visitor_id String,
    hashed_id String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS impression_from_journal TO impression AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    platform,
    campaign,
    toFixedString(unhex(visitor_id), 16) AS visitor_id,
    hashed_id
FROM inbox_impression;

-- conversion: One version per row of a conversion; the newest known_at of a fact_id is the fact.
CREATE TABLE IF NOT EXISTS conversion
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    conversion_id String,
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
    attributes Map(LowCardinality(String), String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1,
    PROJECTION by_click_id (SELECT _part_offset ORDER BY click_id)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (ts, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild', index_granularity = 1024;

CREATE TABLE IF NOT EXISTS inbox_conversion
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    conversion_id String,
    type String,
    status String,
    origin String,
    value_micros Int64,
    currency String,
    click_id String,
    platform_ids Map(LowCardinality(String), String),
    visitor_id String,
    order_id String,
    crm_id String,
    email_sha256 String,
    phone_sha256 String,
    client String,
    page String,
    user_agent String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS conversion_from_journal TO conversion AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    conversion_id,
    type,
    status,
    origin,
    value_micros,
    currency,
    toFixedString(unhex(click_id), 16) AS click_id,
    platform_ids,
    toFixedString(unhex(visitor_id), 16) AS visitor_id,
    order_id,
    crm_id,
    email_sha256,
    phone_sha256,
    client,
    page,
    user_agent,
    attributes
FROM inbox_conversion;

-- spend: One version per row of what a platform charged in [ts, ts + bucket_s).
CREATE TABLE IF NOT EXISTS spend
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    platform LowCardinality(String),
    account LowCardinality(String),
    campaign LowCardinality(String),
    bucket_s UInt32,
    cost_micros Int64,
    currency LowCardinality(String),
    ad_group LowCardinality(String),
    creative LowCardinality(String),
    keyword LowCardinality(String),
    device LowCardinality(String),
    clicks UInt32,
    impressions UInt32,
    platform_conversions Float64,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (campaign, ts, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_spend
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    platform String,
    account String,
    campaign String,
    bucket_s UInt32,
    cost_micros Int64,
    currency String,
    ad_group String,
    creative String,
    keyword String,
    device String,
    clicks UInt32,
    impressions UInt32,
    platform_conversions Float64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_from_journal TO spend AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    platform,
    account,
    campaign,
    bucket_s,
    cost_micros,
    currency,
    ad_group,
    creative,
    keyword,
    device,
    clicks,
    impressions,
    platform_conversions
FROM inbox_spend;

-- campaign: One version per row of a campaign's description.
CREATE TABLE IF NOT EXISTS campaign
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    campaign LowCardinality(String),
    platform LowCardinality(String),
    account LowCardinality(String),
    name String,
    status LowCardinality(String),
    client LowCardinality(String),
    owner LowCardinality(String),
    currency LowCardinality(String),
    daily_budget_micros Int64,
    target_cpl_micros Int64,
    target_roas Float64,
    break_even_rate Float64,
    margin_micros Int64,
    cpc_micros Int64,
    parallel_tracking Bool,
    sandbox Bool,
    launched DateTime64(3, 'UTC'),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (campaign, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_campaign
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    campaign String,
    platform String,
    account String,
    name String,
    status String,
    client String,
    owner String,
    currency String,
    daily_budget_micros Int64,
    target_cpl_micros Int64,
    target_roas Float64,
    break_even_rate Float64,
    margin_micros Int64,
    cpc_micros Int64,
    parallel_tracking Bool,
    sandbox Bool,
    launched Int64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS campaign_from_journal TO campaign AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    campaign,
    platform,
    account,
    name,
    status,
    client,
    owner,
    currency,
    daily_budget_micros,
    target_cpl_micros,
    target_roas,
    break_even_rate,
    margin_micros,
    cpc_micros,
    parallel_tracking,
    sandbox,
    fromUnixTimestamp64Milli(launched, 'UTC') AS launched
FROM inbox_campaign;

-- service: Additive parts of one minute of a service's route, version and device.
CREATE TABLE IF NOT EXISTS service
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    service LowCardinality(String),
    route LowCardinality(String),
    version LowCardinality(String),
    requests UInt32,
    errors UInt32,
    buckets Array(UInt32),
    duration_sum_s Float64,
    device LowCardinality(String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (service, route, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_service
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    service String,
    route String,
    version String,
    requests UInt32,
    errors UInt32,
    buckets Array(UInt32),
    duration_sum_s Float64,
    device String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS service_from_journal TO service AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    service,
    route,
    version,
    requests,
    errors,
    buckets,
    duration_sum_s,
    device
FROM inbox_service;

-- gauge: One reading per row.
CREATE TABLE IF NOT EXISTS gauge
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    service LowCardinality(String),
    name LowCardinality(String),
    value Float64,
    attributes Map(LowCardinality(String), String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (service, name, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_gauge
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    service String,
    name String,
    value Float64,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS gauge_from_journal TO gauge AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    service,
    name,
    value,
    attributes
FROM inbox_gauge;

-- span: Spans of paid clicks.
CREATE TABLE IF NOT EXISTS span
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    click_id FixedString(16),
    trace_id FixedString(16),
    span_id FixedString(8),
    parent_span_id FixedString(8),
    service LowCardinality(String),
    name LowCardinality(String),
    duration_us UInt64,
    status LowCardinality(String),
    kind_of LowCardinality(String),
    version LowCardinality(String),
    route LowCardinality(String),
    http_status UInt16,
    error String,
    attributes Map(LowCardinality(String), String),
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1,
    PROJECTION by_trace_id (SELECT _part_offset ORDER BY trace_id)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (click_id, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_span
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    click_id String,
    trace_id String,
    span_id String,
    parent_span_id String,
    service String,
    name String,
    duration_us UInt64,
    status String,
    kind_of String,
    version String,
    route String,
    http_status UInt16,
    error String,
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS span_from_journal TO span AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    toFixedString(unhex(click_id), 16) AS click_id,
    toFixedString(unhex(trace_id), 16) AS trace_id,
    toFixedString(unhex(span_id), 8) AS span_id,
    toFixedString(unhex(parent_span_id), 8) AS parent_span_id,
    service,
    name,
    duration_us,
    status,
    kind_of,
    version,
    route,
    http_status,
    error,
    attributes
FROM inbox_span;

-- deploy: One version per row of a change marker.
CREATE TABLE IF NOT EXISTS deploy
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    service LowCardinality(String),
    version LowCardinality(String),
    change LowCardinality(String),
    author LowCardinality(String),
    link String,
    description String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (ts, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_deploy
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    service String,
    version String,
    change String,
    author String,
    link String,
    description String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS deploy_from_journal TO deploy AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    service,
    version,
    change,
    author,
    link,
    description
FROM inbox_deploy;

-- incident: One version per row of an incident; payload is the record's JSON object.
CREATE TABLE IF NOT EXISTS incident
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    incident_id String,
    state LowCardinality(String),
    onset DateTime64(3, 'UTC'),
    opened DateTime64(3, 'UTC'),
    verdict LowCardinality(String),
    scope Map(LowCardinality(String), String),
    closed DateTime64(3, 'UTC'),
    payload String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (incident_id, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_incident
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    incident_id String,
    state String,
    onset Int64,
    opened Int64,
    verdict String,
    scope Map(String, String),
    closed Int64,
    payload String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS incident_from_journal TO incident AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    incident_id,
    state,
    fromUnixTimestamp64Milli(onset, 'UTC') AS onset,
    fromUnixTimestamp64Milli(opened, 'UTC') AS opened,
    verdict,
    scope,
    fromUnixTimestamp64Milli(closed, 'UTC') AS closed,
    payload
FROM inbox_incident;

-- baseline: One version per row of a learned baseline; payload is JSON.
CREATE TABLE IF NOT EXISTS baseline
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    stream String,
    payload String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (stream, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_baseline
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    stream String,
    payload String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS baseline_from_journal TO baseline AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    stream,
    payload
FROM inbox_baseline;

-- decision: One line of the ledger per row; payload is JSON.
CREATE TABLE IF NOT EXISTS decision
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    fact_id String,
    action_id String,
    incident_id String,
    rule LowCardinality(String),
    state LowCardinality(String),
    target LowCardinality(String),
    by LowCardinality(String),
    payload String,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (action_id, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_decision
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    fact_id String,
    action_id String,
    incident_id String,
    rule String,
    state String,
    target String,
    by String,
    payload String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS decision_from_journal TO decision AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fact_id,
    action_id,
    incident_id,
    rule,
    state,
    target,
    by,
    payload
FROM inbox_decision;

-- watermark: One reading per row of how far a source is complete.
CREATE TABLE IF NOT EXISTS watermark
(
    segment LowCardinality(String),
    o UInt64,
    known_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    claimed Bool,
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    source LowCardinality(String),
    complete_through DateTime64(3, 'UTC'),
    documented_lag_s UInt32,
    INDEX by_segment segment TYPE set(64) GRANULARITY 1,
    INDEX by_known_at known_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (source, ts)
SETTINGS non_replicated_deduplication_window = 10000, deduplicate_merge_projection_mode = 'rebuild';

CREATE TABLE IF NOT EXISTS inbox_watermark
(
    o UInt64,
    known_at Int64,
    claimed Bool,
    ts Int64,
    source String,
    complete_through Int64,
    documented_lag_s UInt32
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS watermark_from_journal TO watermark AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    fromUnixTimestamp64Milli(complete_through, 'UTC') AS complete_through,
    documented_lag_s
FROM inbox_watermark;
