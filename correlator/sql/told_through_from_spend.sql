-- Up to where platforms have told what they count of a campaign, as known at {as_of}; of {campaign} only, '' = of all. Grain: campaign with spend in
-- the period from {since} until {until} or in the month before. Columns: campaign, through (ms): the end of the newest bucket that is complete,
-- whether anything was told in it or not.
-- A bucket is complete when its source's watermark has passed it. Without a watermark, when it was reported after its end.
WITH mark AS
(
    SELECT source, argMax(complete_through, (known_at, toString(segment), o)) AS through
    FROM watermark
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY source
)
SELECT
    toString(campaign) AS campaign,
    -- The grid of the buckets goes on behind the last of them.
    max(multiIf(
        marked >= begins, begins + intDiv(marked - begins, length) * length,
        marked > 0, begins - intDiv(begins - marked + length - 1, length) * length,
        told_at >= begins + length, begins + length,
        0)) AS through
FROM
(
    SELECT
        spend.campaign AS campaign,
        toUnixTimestamp64Milli(spend.known_at) AS told_at,
        toUnixTimestamp64Milli(spend.ts) AS begins,
        toInt64(spend.bucket_s) * 1000 AS length,
        toUnixTimestamp64Milli(greatest(by_source.through, by_account.through)) AS marked
    FROM spend
    LEFT JOIN mark AS by_source ON by_source.source = spend.source
    -- A source that reads several accounts keeps a watermark for each.
    LEFT JOIN mark AS by_account ON by_account.source = concat(spend.source, ':', spend.account)
    WHERE spend.known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND ({campaign:String} = '' OR spend.campaign = {campaign:String})
        AND spend.ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        -- No platform reports in buckets longer than a month.
        AND spend.ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 31 DAY
)
GROUP BY campaign
