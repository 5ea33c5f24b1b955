-- How many conversions each system counts. Grain: (campaign, bucket, type, origin). Columns: campaign ('' = no click found), bucket (ms), type,
-- origin, conversions, duplicates, sums (micros by currency as told: nothing is converted here, so that two systems' currencies can be compared).
-- Rejected conversions and those flagged as duplicates count in no system; what an origin sent twice under one fact is one anyway.
SELECT
    toString(campaign) AS campaign,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(type) AS type,
    toString(origin) AS origin,
    countIf(status NOT IN ('rejected', 'duplicate')) AS conversions,
    countIf(status = 'duplicate') AS duplicates,
    sumMapIf(map(toString(currency), value_micros), status NOT IN ('rejected', 'duplicate') AND value_micros != 0) AS sums
FROM ({{matches}}) AS match
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND {{visible}}
GROUP BY campaign, bucket, type, origin
ORDER BY campaign, bucket, type, origin
