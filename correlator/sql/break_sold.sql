-- Believed conversions of a period by what a browser could have told of them. Grain: (scope, type, at); a scope is one of {scopes} (campaigns) or
-- '*' for all. Columns: scope, type, at (ms, hours begin at {since}), conversions, refused (their click refused consent), unseen (their click did not, and
-- no page ever reported it).
SELECT
    scope,
    type,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, 3600000) * 3600000 AS at,
    count() AS conversions,
    countIf(has_refused) AS refused,
    countIf(method != 'none' AND NOT has_refused AND NOT was_seen) AS unseen
FROM
(
    SELECT
        ts,
        toString(type) AS type,
        toString(method) AS method,
        click_id,
        arrayJoin(if(has({scopes:Array(String)}, toString(campaign)), [toString(campaign), '*'], ['*'])) AS scope
    FROM ({{matches}}) AS match
    WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
        AND status NOT IN ('rejected', 'duplicate')
        AND {{visible}}
) AS sold
ANY LEFT JOIN
(
    SELECT DISTINCT click_id, true AS has_refused
    FROM click
    WHERE consent IN ('no', 'gpc') AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 90 DAY
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
) AS refusal ON refusal.click_id = sold.click_id
ANY LEFT JOIN
(
    SELECT DISTINCT click_id, true AS was_seen
    FROM touch
    WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 90 DAY
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
) AS reported ON reported.click_id = sold.click_id
GROUP BY scope, type, at
ORDER BY scope, type, at
