-- Steering conversions that were matched after {matched_after}, newest match of each. Grain: conversion (fact_id).
-- Columns: fact (hash of fact_id), matched, matched_at, known_at, ts, click_ts (ms), campaign, device, page.
-- Without FINAL, which would read the whole table every tick: a newer match than {matched_after} is the newest.
SELECT
    cityHash64(fact_id) AS fact,
    method != 'none' AND campaign != '' AS matched,
    toUnixTimestamp64Milli(matched_at) AS matched_at,
    toUnixTimestamp64Milli(known_at) AS known_at,
    toUnixTimestamp64Milli(ts) AS ts,
    toUnixTimestamp64Milli(click_ts) AS click_ts,
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page
FROM
(
    SELECT * FROM conversion_match
    WHERE matched_at > fromUnixTimestamp64Milli({matched_after:Int64}, 'UTC') AND NOT claimed
    ORDER BY matched_at DESC
    LIMIT 1 BY fact_id
)
WHERE type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
