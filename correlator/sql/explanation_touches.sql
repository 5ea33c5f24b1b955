-- What visitors' browsers reported around an incident. Grain: name x page x bucket. Columns: name, page, bucket (ms), touches, of_clicks.
SELECT
    toString(name) AS name,
    toString(page) AS page,
    intDiv(toUnixTimestamp64Milli(ts), {bucket_ms:Int64}) * {bucket_ms:Int64} AS bucket,
    count() AS touches,
    countIf(click_id != toFixedString('', 16)) AS of_clicks
FROM touch
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY name, page, bucket
