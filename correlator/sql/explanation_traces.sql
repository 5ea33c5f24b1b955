-- Clicks whose own traces were seen, and how many of them failed or waited. Grain: campaign x device x page x browser x bucket of the spans.
-- Columns: campaign, device, page, browser, bucket (ms), traced, failed, slow. A route is slow above its own usual bound.
SELECT
    toString(h.campaign) AS campaign,
    toString(h.device) AS device,
    toString(h.page) AS page,
    toString(h.browser) AS browser,
    s.bucket AS bucket,
    count() AS traced,
    countIf(s.failed) AS failed,
    countIf(s.slow) AS slow
FROM
(
    SELECT
        click_id,
        intDiv(toUnixTimestamp64Milli(ts), {bucket_ms:Int64}) * {bucket_ms:Int64} AS bucket,
        max(status = 'error' OR http_status >= 500) AS failed,
        max(duration_us > transform(concat(service, '|', route), {routes:Array(String)}, {bounds_us:Array(Int64)}, toInt64(9e15))) AS slow
    FROM span
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    GROUP BY click_id, bucket
) AS s
INNER JOIN
(
    SELECT click_id, any(campaign) AS campaign, any(device) AS device, any(page) AS page, any(browser) AS browser
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64} - 3600000, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND campaign != ''
    GROUP BY click_id
) AS h ON h.click_id = s.click_id
GROUP BY campaign, device, page, browser, bucket
