-- Steering conversions whose click lies in [{start}, {end}) and that happened by {end}, to fill or check the exposure state. Grain: conversion.
-- Columns: campaign, device, page, ts, click_ts (ms), fact (hash of fact_id).
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    toUnixTimestamp64Milli(ts) AS ts,
    toUnixTimestamp64Milli(click_ts) AS click_ts,
    cityHash64(fact_id) AS fact
FROM conversion_match FINAL
WHERE click_ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
    AND campaign != '' AND method != 'none'
    AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
