-- Steering conversions around an incident by when they and their clicks happened. Grain: leaf x browser x bucket x click bucket.
-- Columns: campaign, device, page, browser, bucket, click_bucket (ms; 0 = unmatched), matched, conversions.
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    toString(browser) AS browser,
    intDiv(toUnixTimestamp64Milli(ts), {bucket_ms:Int64}) * {bucket_ms:Int64} AS bucket,
    if(method = 'none', 0, intDiv(toUnixTimestamp64Milli(click_ts), {bucket_ms:Int64}) * {bucket_ms:Int64}) AS click_bucket,
    method != 'none' AND campaign != '' AS matched,
    count() AS conversions
FROM conversion_match FINAL
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
GROUP BY campaign, device, page, browser, bucket, click_bucket, matched
