-- How many hits of a campaign are usually lost, and how many are no new human click. Grain: campaign.
-- Columns: campaign, hits, lost, invalid. Intervals of past incidents are left out.
SELECT
    toString(campaign) AS campaign,
    count() AS hits,
    countIf(lost) AS lost,
    countIf(NOT lost) - uniqExactIf(click_id, NOT lost AND NOT bot) AS invalid
FROM hit
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND campaign != ''
    AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
GROUP BY campaign
