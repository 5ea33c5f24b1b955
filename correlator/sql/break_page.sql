-- Page views around breaks, hour by hour from seven days before {since}, as known at {as_of}, whoever they belong to. Grain: (page, at).
-- Columns: page, at (ms, hours begin at {since}), views, views_with_click (that carry a click ID).
SELECT
    toString(page) AS page,
    {since:Int64} - 604800000 + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64} + 604800000, 3600000) * 3600000 AS at,
    count() AS views,
    countIf(click_id != toFixedString('', 16)) AS views_with_click
FROM touch
WHERE name = 'page_view'
    AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 7 DAY AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
GROUP BY page, at
ORDER BY page, at
