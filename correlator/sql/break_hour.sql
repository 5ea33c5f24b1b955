-- Clicks around breaks, hour by hour from seven days before {since}, as known at {as_of}. Grain: (scope, at); a scope is one of {scopes} (campaigns)
-- or '*' for all. Columns: scope, at (ms), clicks, refused (of clicks that refused consent), landed (of clicks whose page reported a view), pages
-- (landing pages, at most 100). Hours begin at {since}, so a break begins with a whole one. Without bots and lost hits.
SELECT
    scope,
    {since:Int64} - 604800000 + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64} + 604800000, 3600000) * 3600000 AS at,
    uniqExact(click_id) AS clicks,
    uniqExactIf(click_id, consent IN ('no', 'gpc')) AS refused,
    uniqExactIf(click_id, has_landed) AS landed,
    groupUniqArray(100)(toString(page)) AS pages
FROM
(
    SELECT
        ts,
        click_id,
        consent,
        page,
        arrayJoin(if(has({scopes:Array(String)}, toString(campaign)), [toString(campaign), '*'], ['*'])) AS scope,
        click_id IN
        (
            SELECT click_id
            FROM touch
            WHERE name = 'page_view' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 7 DAY
                AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC') + INTERVAL 1 HOUR
                AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        ) AS has_landed
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 7 DAY AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        AND NOT bot AND NOT lost
        AND {{visible}}
)
GROUP BY scope, at
ORDER BY scope, at
