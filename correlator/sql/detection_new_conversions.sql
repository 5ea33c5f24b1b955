-- Steering conversions that were matched after {after}. Grain: conversion (fact_id).
-- Columns: fact (hash of fact_id), matched, matched_at, known_at, ts, click_ts (ms), campaign, device, page.
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
FROM conversion_match FINAL
WHERE matched_at > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND NOT claimed
    AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
ORDER BY matched_at, ts
