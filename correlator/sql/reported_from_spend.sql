-- Up to where a platform has told a campaign's cost, as known at {as_of}; of {campaign} only, '' = of all. Grain: campaign.
-- Columns: campaign, reported_through (end of the newest bucket that is complete).
-- A bucket is complete when its source's watermark has passed it. Without a watermark, when it was reported after its end.
WITH mark AS
(
    SELECT source, argMax(complete_through, (known_at, toString(segment), o)) AS through
    FROM watermark
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY source
)
SELECT campaign, maxIf(bucket_end, bucket_end <= if(toUnixTimestamp64Milli(marked) > 0, marked, known_at)) AS reported_through
FROM
(
    SELECT
        spend.campaign AS campaign,
        spend.known_at AS known_at,
        spend.ts + toIntervalSecond(spend.bucket_s) AS bucket_end,
        greatest(by_source.through, by_account.through) AS marked
    FROM spend
    LEFT JOIN mark AS by_source ON by_source.source = spend.source
    -- A source that reads several accounts keeps a watermark for each.
    LEFT JOIN mark AS by_account ON by_account.source = concat(spend.source, ':', spend.account)
    WHERE spend.known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND ({campaign:String} = '' OR spend.campaign = {campaign:String})
)
GROUP BY campaign
