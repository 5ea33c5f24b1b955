-- How many conversions each system counts. Grain: (bucket, type, origin). Columns: bucket (ms), type, origin, conversions, duplicates.
-- Rejected conversions and those flagged as duplicates count in no system; what an origin sent twice under one fact is one anyway.
SELECT
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(type) AS type,
    toString(origin) AS origin,
    countIf(status NOT IN ('rejected', 'duplicate')) AS conversions,
    countIf(status = 'duplicate') AS duplicates
FROM ({{matches}}) AS match
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND {{visible}}
GROUP BY bucket, type, origin
ORDER BY bucket, type, origin
