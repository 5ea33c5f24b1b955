-- Clicks of a period that have converted so far, with types that steer live. Grain: (campaign, value, bucket of the click).
-- Columns: campaign, value (in the dimension that is asked for), bucket (ms), converted_mature (clicks older than {mature_before} that converted), converted (all that did).
SELECT
    toString(campaign) AS campaign,
    toString({{value}}) AS value,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(click_ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    uniqExactIf(click_id, click_ts < fromUnixTimestamp64Milli({mature_before:Int64}, 'UTC')) AS converted_mature,
    uniqExact(click_id) AS converted
FROM ({{matches}}) AS match
{{lookup}}
WHERE click_ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND click_ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND method != 'none'
    AND has({steering:Array(String)}, type)
    AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
    AND status NOT IN ('rejected', 'duplicate')
    AND {{visible}}
GROUP BY campaign, value, bucket
