-- Hits around an incident. Grain: campaign x device x page x browser x bucket.
-- Columns: campaign, device, page, browser, bucket (ms), hits, lost, clicks, lost_parallel.
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    toString(browser) AS browser,
    intDiv(toUnixTimestamp64Milli(ts), {bucket_ms:Int64}) * {bucket_ms:Int64} AS bucket,
    count() AS hits,
    countIf(lost) AS lost,
    countIf(NOT lost AND NOT bot AND nth = 1) AS clicks,
    countIf(lost AND parallel) AS lost_parallel
FROM
(
    SELECT *, row_number() OVER (PARTITION BY click_id, lost OR bot ORDER BY ts) AS nth
    FROM (
        SELECT campaign, device, page, browser, ts, click_id, lost, bot, parallel FROM hit
        WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND campaign != ''
    )
)
GROUP BY campaign, device, page, browser, bucket
