-- How alike campaigns' hours were to those of {campaign}, from {since} on for whole days until {until}, as known at {as_of}. Grain: campaign.
-- Columns: campaign, hits, active_hours, own (sum of squares), with_it (sum of products), by_hour (hour of the day -> sum), of log(1 + hits of
-- an hour). Hours without a hit are zeros and add nothing to any sum.
WITH
    series AS
    (
        SELECT toString(campaign) AS named, intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, 3600000) AS hour, count() AS counted, log1p(counted) AS level
        FROM click
        WHERE campaign != '' AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND {{period}}
            AND (empty({clients:Array(String)}) OR has({clients:Array(String)}, client)
                OR campaign IN (SELECT campaign FROM campaign_client_as_of(as_of={as_of:Int64}) WHERE has({clients:Array(String)}, client)))
        GROUP BY named, hour
    )
SELECT
    named AS campaign,
    sum(counted) AS hits,
    count() AS active_hours,
    sum(level * level) AS own,
    sum(level * mine.its_level) AS with_it,
    sumMap(map(toUInt8(hour % 24), level)) AS by_hour
FROM series
LEFT JOIN (SELECT hour AS its_hour, level AS its_level FROM series WHERE named = {campaign:String}) AS mine ON mine.its_hour = series.hour
GROUP BY named
ORDER BY named
