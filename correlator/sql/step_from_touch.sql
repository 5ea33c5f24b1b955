-- How many clicks reached each step on the site. Grain: (bucket, touch name). Columns: bucket (ms), name, clicks (distinct click IDs).
SELECT
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(name) AS name,
    uniqExact(click_id) AS clicks
FROM touch
WHERE name IN ('page_view', 'form_start', 'form_submit')
    AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    AND click_id != toFixedString('', 16)
    AND (({campaign:String} = '' AND empty({clients:Array(String)}))
        OR click_id IN (SELECT click_id FROM click WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 90 DAY AND {{visible}}))
GROUP BY bucket, name
