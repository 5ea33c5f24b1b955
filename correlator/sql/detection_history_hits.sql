-- How many hits of a campaign are usually lost, and how many are no new human click. Grain: campaign.
-- Columns: campaign, hits, lost, invalid, hours (with hits), squares, lost_scatter, invalid_scatter. squares: sum over the hours of hits^2; scatter: of bad^2 / hits.
-- Intervals of past incidents are left out. An hour's invalid hits are counted within the hour.
SELECT
    campaign,
    sum(asked) AS hits,
    sum(unanswered) AS lost,
    sum(asked - unanswered) - uniqExactIfMerge(people) AS invalid,
    count() AS hours,
    sum(pow(asked, 2)) AS squares,
    sum(pow(unanswered, 2) / asked) AS lost_scatter,
    sum(pow(asked - unanswered - in_hour, 2) / asked) AS invalid_scatter
FROM
(
    SELECT
        toString(campaign) AS campaign,
        intDiv(toUnixTimestamp64Milli(ts), 3600000) AS hour,
        count() AS asked,
        countIf(lost) AS unanswered,
        uniqExactIfState(click_id, NOT lost AND NOT bot) AS people,
        uniqExactIf(click_id, NOT lost AND NOT bot) AS in_hour
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND campaign != ''
        AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
    GROUP BY campaign, hour
)
GROUP BY campaign
