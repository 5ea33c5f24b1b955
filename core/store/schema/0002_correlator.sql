-- What the correlator derives from the journal's tables. All of it can be computed again from them; no row here is a source.

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

-- conversion_match: every conversion's newest version with the click it belongs to, or method 'none'. Grain: conversion (fact_id).
-- `ts` is the conversion's event time, `click_ts` the click's; campaign … link_id are the matched click's, empty when unmatched
-- (device and page fall back to what the conversion itself says).
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
    INDEX by_matched_at matched_at TYPE minmax GRANULARITY 1,
    INDEX by_ts ts TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(matched_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (fact_id)
SETTINGS non_replicated_deduplication_window = 10000;
