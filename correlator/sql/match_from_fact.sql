-- Every target conversion with the click it belongs to. Grain: conversion (fact_id). Columns: those of conversion_match without matched_at.
-- The first method that fits wins: click ID; click ID derived from a platform ID; last click of the visitor (all three: direct_from_fact);
-- last click seen with the same order or CRM ID, then with the same hashed e-mail or phone; last click with a platform key that many people
-- may share (direct_from_fact again). Order, CRM, e-mail and phone keys mean something inside one client only.
WITH
    fact AS ({{facts}}),
    direct AS ({{directs}}),
    keyed AS
    (
        SELECT
            fact_id, ts, type, origin, status, client, entry.1 AS method_rank, entry.2 AS name, entry.3 AS key,
            transform(toString(type), {types:Array(String)}, {lookbacks_ms:Array(Int64)}, {lookback_ms:Int64}) AS lookback_ms,
            transform(toString(type), {types:Array(String)}, {duplicate_windows_ms:Array(Int64)}, toInt64(0)) AS window_ms,
            has(splitByChar(',', transform(toString(type), {types:Array(String)}, {duplicate_keys:Array(String)}, '')), entry.2) AS identifies
        FROM fact
        ARRAY JOIN arrayFilter(e -> e.3 != '', [
            (4, 'order_id', order_id), (5, 'crm_id', crm_id), (6, 'email_sha256', email_sha256), (7, 'phone_sha256', phone_sha256)]) AS entry
    ),
    -- Clicks that another conversion with the same key belongs to, the last one at or before this conversion.
    linked AS
    (
        SELECT fact_id, argMin((method_rank, best), (method_rank, -click_ms, best.2)) AS found
        FROM
        (
            SELECT a.fact_id AS fact_id, a.method_rank AS method_rank, b.best AS best, b.click_ms AS click_ms,
                a.limit_ms AS limit_ms, a.lookback_ms AS lookback_ms
            FROM
            (
                SELECT fact_id, client, name, key, method_rank, lookback_ms, toUnixTimestamp64Milli(ts) + {skew_ms:Int64} AS limit_ms
                FROM keyed
                WHERE fact_id NOT IN (SELECT fact_id FROM direct WHERE best.1 < {shared_rank:UInt8})
            ) AS a
            ASOF INNER JOIN
            (
                SELECT client, name, key, toUnixTimestamp64Milli(direct.best.3.1) AS click_ms, argMin(direct.best, direct.best.2) AS best
                FROM keyed
                INNER JOIN direct ON direct.fact_id = keyed.fact_id
                -- What many people share is too weak to lead others anywhere.
                WHERE direct.best.1 < {shared_rank:UInt8}
                GROUP BY client, name, key, click_ms
            ) AS b ON a.client = b.client AND a.name = b.name AND a.key = b.key AND a.limit_ms >= b.click_ms
        )
        WHERE click_ms >= limit_ms - {skew_ms:Int64} - lookback_ms
        GROUP BY fact_id
    ),
    -- The same person again within the type's window of the one before: a chain, whose first member is the conversion.
    chained AS
    (
        SELECT fact_id, ts, client, name, key, type, origin, previous_ms, sum(starts) OVER chain AS link
        FROM
        (
            SELECT
                fact_id, ts, client, name, key, type, origin,
                lagInFrame(toUnixTimestamp64Milli(ts), 1, toInt64(-1)) OVER chain AS previous_ms,
                previous_ms < 0 OR toUnixTimestamp64Milli(ts) - previous_ms > window_ms AS starts
            FROM keyed
            WHERE identifies AND status NOT IN ('rejected', 'duplicate')
            WINDOW chain AS (PARTITION BY client, name, key, type, origin ORDER BY ts, fact_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        )
        WINDOW chain AS (PARTITION BY client, name, key, type, origin ORDER BY ts, fact_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ),
    duplicate AS
    (
        SELECT fact_id, argMin(original, (original_ts, original)) AS duplicate_of
        FROM
        (
            SELECT
                fact_id,
                first_value(fact_id) OVER (PARTITION BY client, name, key, type, origin, link ORDER BY ts, fact_id) AS original,
                first_value(ts) OVER (PARTITION BY client, name, key, type, origin, link ORDER BY ts, fact_id) AS original_ts
            FROM chained
        )
        WHERE original != fact_id
        GROUP BY fact_id
    ),
    matched AS
    (
        SELECT
            *,
            linked_found.1 > 0 AND (direct_best.1 = 0 OR direct_best.1 = {shared_rank:UInt8}) AS by_link,
            if(by_link, linked_found.1, direct_best.1) AS method_rank,
            if(by_link, linked_found.2, direct_best) AS best
        FROM fact
        LEFT JOIN (SELECT fact_id, best AS direct_best FROM direct) AS direct_match USING (fact_id)
        LEFT JOIN (SELECT fact_id, found AS linked_found FROM linked) AS linked_match USING (fact_id)
        LEFT JOIN duplicate USING (fact_id)
        WHERE is_target
    )
SELECT
    fact_id,
    conversion_id,
    changed_at AS known_at,
    claimed,
    ts,
    type,
    if(duplicate_of != '', 'duplicate', toString(status)) AS status,
    origin,
    value_micros,
    currency,
    {methods:Array(String)}[method_rank + 1] AS method,
    toFloat32({confidences:Array(Float64)}[method_rank + 1]) AS confidence,
    best.2 AS click_id,
    best.3.1 AS click_ts,
    best.3.3 AS campaign,
    best.3.4 AS ad_group,
    best.3.5 AS creative,
    best.3.6 AS keyword,
    best.3.7 AS platform,
    agent.device AS device,
    agent.browser AS browser,
    if(best.3.9 != '', best.3.9, toString(page)) AS page,
    best.3.10 AS variant,
    if(best.3.11 != '', best.3.11, toString(client)) AS client,
    best.3.12 AS link_id,
    duplicate_of,
    restated_at,
    source,
    qualified AND duplicate_of = '' AS qualified,
    cityHash64(
        fact_id, conversion_id, known_at, claimed, ts, type, status, origin, value_micros, currency, method, click_id, click_ts, campaign,
        ad_group, creative, keyword, platform, device, browser, page, variant, client, link_id, duplicate_of, restated_at, source, qualified) AS content
FROM matched
LEFT ANY JOIN (SELECT user_agent, device, browser FROM user_agent_dim FINAL) AS agent
    ON agent.user_agent = if(matched.best.3.8 != '', matched.best.3.8, toString(matched.user_agent))
