-- Campaigns whose platform tells their spend by the dimension that is asked for, as known at {as_of}. Grain: campaign. Columns: campaign.
-- What it told up to a month before the period counts, too: the newest hours, which it has not told yet, are told the same way.
SELECT DISTINCT toString(campaign) AS campaign
FROM spend
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 31 DAY AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    AND {{value}} != ''
