-- What systems told as totals, in their own buckets, as known at {as_of}. Grain: (scope, type, origin, source, begins, ends); a scope is one of {scopes}
-- (campaigns) or '*' for all. Columns: scope, type (the tally's name), origin, source (its kind), begins, ends (ms), count.
SELECT
    arrayJoin(if(has({scopes:Array(String)}, toString(campaign)), [toString(campaign), '*'], ['*'])) AS scope,
    toString(name) AS type,
    toString(origin) AS origin,
    toString(source) AS source,
    toUnixTimestamp64Milli(tally.ts) AS begins,
    begins + toInt64(bucket_s) * 1000 AS ends,
    sum(count) AS count
FROM tally_as_of(as_of={as_of:Int64}) AS tally
WHERE tally.ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND tally.ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND {{visible}}
GROUP BY scope, type, origin, source, begins, ends
ORDER BY scope, type, origin, source, begins, ends
