-- The conversions {fact_ids} with what they brought themselves and what their click brought. Grain: conversion (fact_id). Columns: those of
-- uploads.base.Candidate. A click is all hits of its click ID: the first that carries a platform ID speaks, and what any of them said of
-- consent is told. A campaign is a test when any source's newest description of it says so.
WITH
    matched AS (SELECT * FROM conversion_match FINAL WHERE fact_id IN {fact_ids:Array(String)}),
    own AS
    (
        SELECT
            fact_id,
            argMax((order_id, page, user_agent, email_sha256, phone_sha256, attributes, platform_ids), (known_at, toString(segment), o)) AS said
        FROM conversion
        WHERE fact_id IN {fact_ids:Array(String)}
        GROUP BY fact_id
    ),
    clicked AS
    (
        SELECT
            click_id,
            argMin((platform_ids, toString(user_agent)), (empty(mapKeys(platform_ids)), ts, known_at, toString(segment), o)) AS hit,
            groupUniqArray(toString(consent)) AS consents
        FROM click
        WHERE click_id IN (SELECT click_id FROM matched WHERE click_id != toFixedString('', 16))
        GROUP BY click_id
    ),
    test AS
    (
        SELECT DISTINCT campaign
        FROM (SELECT campaign, argMax(sandbox, (known_at, toString(segment), o)) AS is_test FROM campaign GROUP BY campaign, fact_id)
        WHERE is_test
    ),
    odd AS
    (
        SELECT fact_id FROM conversion_flag FINAL WHERE fact_id IN {fact_ids:Array(String)} AND notEmpty(flags)
    )
SELECT
    matched.fact_id AS fact_id,
    conversion_id,
    toString(type) AS type,
    toString(status) AS status,
    toString(origin) AS origin,
    toUnixTimestamp64Milli(ts) AS ts,
    toUnixTimestamp64Milli(known_at) AS known_at,
    toUnixTimestamp64Milli(matched_at) AS matched_at,
    claimed,
    value_micros,
    toString(currency) AS currency,
    toString(client) AS client,
    own.said.1 AS order_id,
    toString(own.said.2) AS page,
    toString(own.said.3) AS user_agent,
    own.said.4 AS email_sha256,
    own.said.5 AS phone_sha256,
    own.said.6 AS attributes,
    own.said.7 AS platform_ids,
    toFloat64(confidence) AS confidence,
    toString(campaign) AS campaign,
    greatest(toUnixTimestamp64Milli(click_ts), 0) AS click_ts,
    clicked.hit.1 AS click_platform_ids,
    clicked.hit.2 AS click_user_agent,
    clicked.consents AS consents,
    campaign IN (SELECT campaign FROM test) AS sandbox,
    fact_id IN (SELECT fact_id FROM odd) AS flagged
FROM matched
INNER JOIN own ON own.fact_id = matched.fact_id
LEFT JOIN clicked ON clicked.click_id = matched.click_id
ORDER BY matched_at, fact_id
