-- Conversions whose own keys lead to a click, with the best of them. Grain: conversion (fact_id). Columns: those of matching_direct.
-- best = (method's rank, click ID, (click's ts, visitor, campaign, ad group, creative, keyword, platform, user agent, page, variant, client,
-- link)).
-- A click is the first hit of its click ID: a second hit from another network or much later (reused_id) starts no new click. A lost hit
-- (http_status >= 400) is a click too: under parallel tracking its buyer still reaches the page.
-- A click may lie {skew_ms} after its conversion (clocks differ) and as long before it as the type looks back.
WITH
    direct_key AS
    (
        SELECT
            fact_id,
            ts,
            transform(toString(type), {types:Array(String)}, {lookbacks_ms:Array(Int64)}, {lookback_ms:Int64}) AS lookback_ms,
            entry.1 AS method_rank,
            entry.2 AS precedence,
            entry.3 AS space,
            entry.4 AS key
        FROM ({{facts}}) AS fact
        ARRAY JOIN arrayFilter(e -> e.4 != toFixedString('', 16), arrayConcat(
            [(1, toUInt64(0), 0, click_id)],
            arrayMap(
                name -> (2, indexOf({identity_parameters:Array(String)}, name), 0, toFixedString(substring(SHA256(concat(name, ':', platform_ids[name])), 1, 16), 16)),
                arrayFilter(
                    name -> length(platform_ids[name]) BETWEEN 1 AND 512
                        AND NOT arrayExists(
                            macro -> length(platform_ids[name]) > length(macro.1) + length(macro.2)
                                AND startsWith(platform_ids[name], macro.1) AND endsWith(platform_ids[name], macro.2),
                            [('{', '}'), ('__', '__'), ('[', ']'), ('<', '>')]),
                    {identity_parameters:Array(String)})),
            [(3, toUInt64(0), 1, visitor_id)])) AS entry
    ),
    candidate AS
    (
        SELECT key FROM direct_key WHERE space = 0
        UNION DISTINCT
        SELECT click_id FROM click WHERE visitor_id IN (SELECT key FROM direct_key WHERE space = 1)
    ),
    first_hit AS
    (
        SELECT
            click_id,
            argMin((ts, visitor_id, toString(campaign), toString(ad_group), toString(creative), toString(keyword), toString(platform),
                toString(user_agent), toString(page), toString(variant), toString(client), toString(link_id)),
                (ts, known_at, toString(segment), o)) AS hit
        FROM click
        WHERE click_id IN (SELECT key FROM candidate) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY click_id
    )
SELECT fact_id, argMin((method_rank, click_id, hit), (method_rank, precedence, -toUnixTimestamp64Milli(hit.1), click_id)) AS best
FROM direct_key
INNER JOIN
(
    SELECT click_id, hit, entry.1 AS space, entry.2 AS key
    FROM first_hit
    ARRAY JOIN [(0, click_id), (1, hit.2)] AS entry
) AS clicked ON clicked.space = direct_key.space AND clicked.key = direct_key.key
WHERE hit.1 <= ts + toIntervalMillisecond({skew_ms:Int64}) AND hit.1 >= ts - toIntervalMillisecond(lookback_ms)
GROUP BY fact_id
