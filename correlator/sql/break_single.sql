-- Conversions that systems sent us one by one, in pieces of {grain_ms}. Grain: (scope, type, origin, at); a scope is one of {scopes} (campaigns) or '*'
-- for all. Columns: scope, type, origin, at (ms), conversions.
SELECT
    arrayJoin(if(has({scopes:Array(String)}, toString(campaign)), [toString(campaign), '*'], ['*'])) AS scope,
    toString(type) AS type,
    toString(origin) AS origin,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS at,
    count() AS conversions
FROM ({{matches}}) AS match
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND status NOT IN ('rejected', 'duplicate')
    AND {{visible}}
GROUP BY scope, type, origin, at
ORDER BY scope, type, origin, at
