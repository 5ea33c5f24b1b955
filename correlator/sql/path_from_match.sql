-- The path of every counted conversion of a period: the clicks of its person at or before the matched click, which ends it.
-- Grain: conversion (fact_id). Columns: fact_id, type, origin, method, confidence, currency, worth (micros), ages_ms (of each click, at the
-- conversion), campaigns and told (of each click, the dimension's value), all three in the order of time.
-- Counted: by the type's authoritative origin, neither rejected nor duplicate. A click counts inside the type's look-back and of the
-- conversion's own client only. A conversion without a click has a path of one step, told by what it says itself.
SELECT
    fact_id,
    type,
    origin,
    method,
    confidence,
    currency,
    worth,
    -- A click after its conversion, because clocks differ, is as young as can be.
    arrayMap(click -> greatest(toInt64(0), happened_ms - toUnixTimestamp64Milli(click.1)), path) AS ages_ms,
    path.4 AS campaigns,
    path.5 AS told
FROM
(
    SELECT
        *,
        toUnixTimestamp64Milli(ts) AS happened_ms,
        arrayPushBack(
            arraySort(arrayFilter(
                click -> method != 'none' AND click.1 <= click_ts AND click.1 >= ts - toIntervalMillisecond(lookback_ms) AND click.2 != click_id
                    AND click.3 = client,
                clicks)),
            (click_ts, click_id, client, own_campaign, own_value)) AS path
    FROM
    (
        SELECT
            match.fact_id AS fact_id,
            match.ts AS ts,
            toString(match.type) AS type,
            toString(match.origin) AS origin,
            toString(match.method) AS method,
            match.confidence AS confidence,
            paid_in AS currency,
            worth,
            match.click_id AS click_id,
            match.click_ts AS click_ts,
            toString(match.campaign) AS own_campaign,
            toString({{match_value}}) AS own_value,
            if(match.client = '', belongs.owner, toString(match.client)) AS client,
            transform(toString(match.type), {types:Array(String)}, {lookbacks_ms:Array(Int64)}, {lookback_ms:Int64}) AS lookback_ms
        FROM ({{worth}}) AS match
        {{match_lookup}}
        ANY LEFT JOIN ({{owners}}) AS belongs ON belongs.owned = toString(match.campaign)
        WHERE toString(match.origin) = transform(toString(match.type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
            AND match.status NOT IN ('rejected', 'duplicate')
    ) AS counted
    ANY LEFT JOIN ({{clicks}}) AS walked USING (fact_id)
)
