-- First human clicks by leaf and hour. Grain: campaign x device x page x hour.
-- Columns: campaign, device, page, hour (since the epoch), clicks. Intervals of past incidents are left out.
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    intDiv(toUnixTimestamp64Milli(ts), 3600000) AS hour,
    uniqExact(click_id) AS clicks
FROM hit
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND campaign != '' AND NOT bot AND NOT lost
    AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
GROUP BY campaign, device, page, hour
ORDER BY campaign, device, page, hour
