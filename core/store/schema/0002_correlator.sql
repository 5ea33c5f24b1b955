-- What the correlator derives from the journal's tables. All of it can be computed again from them, and no row here is a source.
--
-- Versions (design §5): the newest known_at of a fact_id is the fact, ties go to the later (segment, o). `<kind>_as_of(as_of=T)` is what
-- was known at T (milliseconds), `<kind>_current` what is known now. In both, `restated_at` is the known_at of the newest version that
-- changed anything (the epoch when none did), because equal consecutive versions are no change.

-- A version of a fact is looked up by its key, which no sorting key of 0001 starts with.
ALTER TABLE conversion ADD PROJECTION IF NOT EXISTS by_fact_id (SELECT _part_offset ORDER BY fact_id);

-- user_agent_dim: each distinct raw user agent, parsed once. Grain: user agent.
CREATE TABLE IF NOT EXISTS user_agent_dim
(
    user_agent String,
    device LowCardinality(String),
    browser LowCardinality(String),
    os LowCardinality(String),
    bot Bool,
    parsed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(parsed_at)
ORDER BY user_agent
SETTINGS non_replicated_deduplication_window = 10000;

-- hit: a click line with its user agent's dimensions. Grain: hit. `lost` = a known link that did not answer with a redirect.
CREATE VIEW IF NOT EXISTS hit AS
SELECT
    click.*,
    d.device AS device,
    d.browser AS browser,
    d.os AS os,
    d.bot OR length(click.bot_signals) > 0 AS bot,
    click.http_status >= 400 AS lost
FROM click
LEFT ANY JOIN (SELECT user_agent, device, browser, os, bot FROM user_agent_dim FINAL) AS d ON d.user_agent = click.user_agent;

-- conversion_as_of: every conversion as it was known at {as_of}. Grain: conversion (fact_id).
-- `ts` is when it happened: the newest event time among the versions in its first state, as a later state (returned, refunded) carries the
-- time of that state, and a return next month does not move the sale there. `state_ts` is the newest version's own event time.
CREATE VIEW IF NOT EXISTS conversion_as_of AS
WITH
    arraySort(versions) AS history,
    arrayCompact(version -> version.6, history) AS changes
SELECT
    fact_id,
    newest.1 AS segment,
    newest.2 AS o,
    newest.3 AS known_at,
    newest.4 AS claimed,
    arrayLast(version -> version.4 = history[1].4, history).5 AS ts,
    newest.5 AS state_ts,
    newest.6 AS source,
    newest.7 AS conversion_id,
    newest.8 AS type,
    newest.9 AS status,
    newest.10 AS origin,
    newest.11 AS value_micros,
    newest.12 AS currency,
    newest.13 AS click_id,
    newest.14 AS platform_ids,
    newest.15 AS visitor_id,
    newest.16 AS order_id,
    newest.17 AS crm_id,
    newest.18 AS email_sha256,
    newest.19 AS phone_sha256,
    newest.20 AS client,
    newest.21 AS page,
    newest.22 AS user_agent,
    newest.23 AS attributes,
    history[1].1 AS first_known_at,
    if(length(changes) > 1, changes[-1].1, toDateTime64(0, 3, 'UTC')) AS restated_at,
    length(changes) AS changes_count
FROM
(
    SELECT
        fact_id,
        groupArray((known_at, toString(segment), o, toString(status), ts, cityHash64(
            ts, conversion_id, type, status, origin, value_micros, currency, click_id, toString(platform_ids), visitor_id, order_id,
            crm_id, email_sha256, phone_sha256, client, page))) AS versions,
        argMax((segment, o, known_at, claimed, ts, source, conversion_id, type, status, origin, value_micros, currency, click_id,
            platform_ids, visitor_id, order_id, crm_id, email_sha256, phone_sha256, client, page, user_agent, attributes),
            (known_at, toString(segment), o)) AS newest
    FROM conversion
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
);

CREATE VIEW IF NOT EXISTS conversion_current AS SELECT * FROM conversion_as_of(as_of=9000000000000);

-- spend_as_of: what a platform said at {as_of} that it charged in [ts, ts + bucket_s). Grain: spend fact (fact_id).
CREATE VIEW IF NOT EXISTS spend_as_of AS
WITH arrayCompact(version -> version.4, arraySort(versions)) AS changes
SELECT
    fact_id,
    campaign,
    ts,
    newest.1 AS segment,
    newest.2 AS o,
    newest.3 AS known_at,
    newest.4 AS claimed,
    newest.5 AS source,
    newest.6 AS platform,
    newest.7 AS account,
    newest.8 AS bucket_s,
    newest.9 AS cost_micros,
    newest.10 AS currency,
    newest.11 AS ad_group,
    newest.12 AS creative,
    newest.13 AS keyword,
    newest.14 AS device,
    newest.15 AS clicks,
    newest.16 AS impressions,
    newest.17 AS platform_conversions,
    changes[1].1 AS first_known_at,
    if(length(changes) > 1, changes[-1].1, toDateTime64(0, 3, 'UTC')) AS restated_at,
    length(changes) AS changes_count
FROM
(
    SELECT
        fact_id,
        campaign,
        ts,
        groupArray((known_at, toString(segment), o, cityHash64(cost_micros, currency, clicks, impressions, platform_conversions))) AS versions,
        argMax((segment, o, known_at, claimed, source, platform, account, bucket_s, cost_micros, currency, ad_group, creative, keyword,
            device, clicks, impressions, platform_conversions), (known_at, toString(segment), o)) AS newest
    FROM spend
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    -- Campaign and bucket belong to the natural key, so filters on them reach the table's sorting key through the view.
    GROUP BY campaign, ts, fact_id
);

CREATE VIEW IF NOT EXISTS spend_current AS SELECT * FROM spend_as_of(as_of=9000000000000);

-- deploy_as_of: every change marker as it was known at {as_of}. Grain: change marker (fact_id).
CREATE VIEW IF NOT EXISTS deploy_as_of AS
SELECT
    fact_id,
    newest.1 AS segment,
    newest.2 AS o,
    newest.3 AS known_at,
    newest.4 AS claimed,
    newest.5 AS ts,
    newest.6 AS source,
    newest.7 AS service,
    newest.8 AS version,
    newest.9 AS change,
    newest.10 AS author,
    newest.11 AS link,
    newest.12 AS description,
    first_known AS first_known_at
FROM
(
    SELECT
        fact_id,
        argMax((segment, o, known_at, claimed, ts, source, service, version, change, author, link, description),
            (known_at, toString(segment), o)) AS newest,
        min(known_at) AS first_known
    FROM deploy
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
);

CREATE VIEW IF NOT EXISTS deploy_current AS SELECT * FROM deploy_as_of(as_of=9000000000000);

-- incident_current: every incident's newest version. Grain: incident (incident_id).
CREATE VIEW IF NOT EXISTS incident_current AS
SELECT
    incident_id,
    newest.1 AS fact_id,
    newest.2 AS known_at,
    newest.3 AS claimed,
    newest.4 AS ts,
    newest.5 AS state,
    newest.6 AS onset,
    newest.7 AS opened,
    newest.8 AS verdict,
    newest.9 AS scope,
    newest.10 AS closed,
    newest.11 AS payload
FROM
(
    SELECT
        incident_id,
        argMax((fact_id, known_at, claimed, ts, state, onset, opened, verdict, scope, closed, payload),
            (known_at, toString(segment), o)) AS newest
    FROM incident
    GROUP BY incident_id
);

-- campaign_as_of: what platform and people said of a campaign by {as_of}, merged. Grain: campaign.
-- Each source describes a campaign under a fact of its own. What the platform decides (name, status, budget, currency) comes from the
-- platform's record when there is one, what a person decides (break-even, margin, targets, owner, client) from the person's, and a value that
-- only one of them gives is taken from that one. Of equals the newest speaks.
-- cpc_micros: trailing cost per click over the newest seven reported days, else what the person said.
CREATE VIEW IF NOT EXISTS campaign_as_of AS
SELECT
    said.campaign AS campaign,
    said.platform AS platform,
    said.account AS account,
    said.name AS name,
    said.status AS status,
    said.client AS client,
    said.owner AS owner,
    if(said.currency != '', said.currency, charged.currency) AS currency,
    said.daily_budget_micros AS daily_budget_micros,
    said.target_cpl_micros AS target_cpl_micros,
    said.target_roas AS target_roas,
    said.break_even_rate AS break_even_rate,
    said.margin_micros AS margin_micros,
    if(charged.cpc_micros > 0, charged.cpc_micros, said.cpc_micros) AS cpc_micros,
    if(charged.cpc_micros > 0, 'trailing', if(said.cpc_micros > 0, 'stated', '')) AS cpc_basis,
    said.parallel_tracking AS parallel_tracking,
    said.sandbox AS sandbox,
    said.launched AS launched,
    said.known_at AS known_at
FROM
(
    SELECT
        campaign,
        argMaxIf(version.platform, rank_platform, version.platform != '') AS platform,
        argMaxIf(version.account, rank_platform, version.account != '') AS account,
        argMaxIf(version.name, rank_platform, version.name != '') AS name,
        argMaxIf(version.status, rank_platform, version.status != '') AS status,
        argMaxIf(version.client, rank_person, version.client != '') AS client,
        argMaxIf(version.owner, rank_person, version.owner != '') AS owner,
        argMaxIf(version.currency, rank_platform, version.currency != '') AS currency,
        argMaxIf(version.daily_budget_micros, rank_platform, version.daily_budget_micros != 0) AS daily_budget_micros,
        argMaxIf(version.target_cpl_micros, rank_person, version.target_cpl_micros != 0) AS target_cpl_micros,
        argMaxIf(version.target_roas, rank_person, version.target_roas != 0) AS target_roas,
        argMaxIf(version.break_even_rate, rank_person, version.break_even_rate != 0) AS break_even_rate,
        argMaxIf(version.margin_micros, rank_person, version.margin_micros != 0) AS margin_micros,
        argMaxIf(version.cpc_micros, rank_person, version.cpc_micros != 0) AS cpc_micros,
        max(version.parallel_tracking) AS parallel_tracking,
        max(version.sandbox) AS sandbox,
        argMaxIf(version.launched, rank_person, toUnixTimestamp64Milli(version.launched) != 0) AS launched,
        max(version.known_at) AS known_at
    FROM
    (
        SELECT
            newest.1 AS campaign,
            newest.2 AS platform,
            newest.3 AS account,
            newest.4 AS name,
            newest.5 AS status,
            newest.6 AS client,
            newest.7 AS owner,
            newest.8 AS currency,
            newest.9 AS daily_budget_micros,
            newest.10 AS target_cpl_micros,
            newest.11 AS target_roas,
            newest.12 AS break_even_rate,
            newest.13 AS margin_micros,
            newest.14 AS cpc_micros,
            newest.15 AS parallel_tracking,
            newest.16 AS sandbox,
            newest.17 AS launched,
            newest.18 AS known_at,
            (newest.19, newest.18) AS rank_platform,
            (NOT newest.19, newest.18) AS rank_person
        FROM
        (
            SELECT
                argMax((campaign, platform, account, name, status, client, owner, currency, daily_budget_micros, target_cpl_micros,
                    target_roas, break_even_rate, margin_micros, cpc_micros, parallel_tracking, sandbox, launched, known_at,
                    endsWith(source, '_ads')), (known_at, toString(segment), o)) AS newest
            FROM campaign
            WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            GROUP BY fact_id
        )
    ) AS version
    GROUP BY campaign
) AS said
LEFT JOIN
(
    -- As spend_as_of has it, but only what is summed: the whole of its versions would cost three times as much.
    SELECT
        campaign,
        argMax(told.1, ts) AS currency,
        if(sum(told.3) = 0, 0, intDiv(sum(told.2), toInt64(sum(told.3)))) AS cpc_micros
    FROM
    (
        SELECT campaign, ts, argMax((currency, cost_micros, clicks), (known_at, toString(segment), o)) AS told
        FROM spend
        WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            AND ts > (SELECT max(ts) FROM spend WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')) - INTERVAL 7 DAY
        GROUP BY campaign, ts, fact_id
    )
    GROUP BY campaign
) AS charged ON charged.campaign = said.campaign;

CREATE VIEW IF NOT EXISTS campaign_current AS SELECT * FROM campaign_as_of(as_of=9000000000000);

-- conversion_match: every conversion's newest version with the click it belongs to, or method 'none'. Grain: conversion (fact_id).
-- `ts` is the conversion's event time (see conversion_as_of), `click_ts` the click's, and campaign … link_id are the matched click's, empty
-- when unmatched (device, page and client fall back to what the conversion itself says). `status` is 'duplicate' when the catalogue's
-- duplicate rule says so, and `duplicate_of` then names the first. `source` told the newest version; `qualified` by the catalogue's rule, and no
-- duplicate. `content` is a hash of the rest: a row is written only when it changed.
-- Read it with FINAL.
CREATE TABLE IF NOT EXISTS conversion_match
(
    fact_id String,
    conversion_id String,
    known_at DateTime64(3, 'UTC'),
    matched_at DateTime64(3, 'UTC'),
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
    content UInt64,
    INDEX by_matched_at matched_at TYPE minmax GRANULARITY 1,
    INDEX by_ts ts TYPE minmax GRANULARITY 1,
    -- Whether a click converted is asked for every journey: a byte a row instead of the column of all history.
    INDEX by_click_id click_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(matched_at)
ORDER BY fact_id
SETTINGS index_granularity = 1024;

-- matching_target, matching_fact, matching_key, matching_direct: intermediate results of the running tick's matching, emptied at every tick.
-- Grain of each: conversion (fact_id). matching_target: what is matched again. matching_fact: those and whatever shares a key with one.
-- matching_key: their own keys (grain and columns as in correlator/sql/direct_key_from_fact.sql). matching_direct: those of them whose own keys lead to a click (`best` as in correlator/sql/direct_from_fact.sql).
CREATE TABLE IF NOT EXISTS matching_target (fact_id String) ENGINE = MergeTree ORDER BY fact_id;

CREATE TABLE IF NOT EXISTS matching_fact
(
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
ORDER BY fact_id;

CREATE TABLE IF NOT EXISTS matching_key
(
    fact_id String,
    ts DateTime64(3, 'UTC'),
    lookback_ms Int64,
    method_rank UInt8,
    precedence UInt64,
    space UInt8,
    key FixedString(16)
)
ENGINE = MergeTree
ORDER BY fact_id;

CREATE TABLE IF NOT EXISTS matching_direct
(
    fact_id String,
    best Tuple(UInt8, FixedString(16), Tuple(DateTime64(3, 'UTC'), FixedString(16), String, String, String, String, String, String, String,
        String, String, String))
)
ENGINE = MergeTree
ORDER BY fact_id;

-- conversion_key: which conversions carry an order, CRM, e-mail or phone key, for look-ups by key. Grain: (name, key, fact_id).
CREATE TABLE IF NOT EXISTS conversion_key
(
    name LowCardinality(String),
    key String,
    fact_id String
)
ENGINE = ReplacingMergeTree
ORDER BY (name, key, fact_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS conversion_key_from_journal TO conversion_key AS
SELECT pair.1 AS name, pair.2 AS key, fact_id
FROM inbox_conversion
ARRAY JOIN arrayFilter(named -> named.2 != '', [
    ('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)]) AS pair;

-- click_key: which clicks came with a platform key that can stand for many people (core/identity.py: MATCH_PARAMETERS), for look-ups by it.
-- Grain: (key, click_id); key = first 16 bytes of SHA-256 over <name>:<value>, as a click ID is derived, but it is none.
CREATE TABLE IF NOT EXISTS click_key
(
    key FixedString(16),
    click_id FixedString(16)
)
ENGINE = ReplacingMergeTree
ORDER BY (key, click_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS click_key_from_journal TO click_key AS
SELECT
    toFixedString(substring(SHA256(concat(name, ':', platform_ids[name])), 1, 16), 16) AS key,
    toFixedString(unhex(click_id), 16) AS click_id
FROM inbox_click
ARRAY JOIN arrayFilter(parameter -> platform_ids[parameter] != '', ['gbraid', 'wbraid', 'li_fat_id']) AS name;

-- repeated_click: click IDs that more than one hit carries (shared URLs, replays, reloads). Grain: click ID. Only the first of such hits
-- starts a click, so counting clicks is counting hits that are not here, plus one for each that is.
CREATE TABLE IF NOT EXISTS repeated_click (click_id FixedString(16)) ENGINE = ReplacingMergeTree ORDER BY click_id;

-- arrival: what each loaded block of clicks and conversions brought, so that a tick finds what is new in any order of arrival (claimed
-- history, late segments, other machines) without scanning. Grain: (kind, segment, block). Times of loading, not of the journal.
CREATE TABLE IF NOT EXISTS arrival
(
    kind LowCardinality(String),
    loaded_at DateTime64(3, 'UTC'),
    segment LowCardinality(String),
    o_first UInt64,
    o_last UInt64,
    ts_first DateTime64(3, 'UTC'),
    ts_last DateTime64(3, 'UTC'),
    known_last DateTime64(3, 'UTC'),
    claimed UInt64,
    lines UInt64
)
ENGINE = MergeTree
ORDER BY (kind, loaded_at)
TTL toDateTime(loaded_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS arrival_of_clicks TO arrival AS
SELECT
    'click' AS kind,
    now64(3, 'UTC') AS loaded_at,
    getSetting('log_comment') AS segment,
    min(o) AS o_first,
    max(o) AS o_last,
    fromUnixTimestamp64Milli(min(ts), 'UTC') AS ts_first,
    fromUnixTimestamp64Milli(max(ts), 'UTC') AS ts_last,
    fromUnixTimestamp64Milli(max(known_at), 'UTC') AS known_last,
    countIf(inbox_click.claimed) AS claimed,
    count() AS lines
FROM inbox_click
GROUP BY segment;

CREATE MATERIALIZED VIEW IF NOT EXISTS arrival_of_conversions TO arrival AS
SELECT
    'conversion' AS kind,
    now64(3, 'UTC') AS loaded_at,
    getSetting('log_comment') AS segment,
    min(o) AS o_first,
    max(o) AS o_last,
    fromUnixTimestamp64Milli(min(ts), 'UTC') AS ts_first,
    fromUnixTimestamp64Milli(max(ts), 'UTC') AS ts_last,
    fromUnixTimestamp64Milli(max(known_at), 'UTC') AS known_last,
    countIf(inbox_conversion.claimed) AS claimed,
    count() AS lines
FROM inbox_conversion
GROUP BY segment;
