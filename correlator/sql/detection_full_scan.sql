-- The exposure as the raw rows have it, to check the state against. Grain: campaign x device x page x 10 seconds.
-- Columns: campaign, device, page, bucket (ms), clicks.
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    intDiv(toUnixTimestamp64Milli(first_ts), 10000) * 10000 AS bucket,
    count() AS clicks
FROM
(
    SELECT click_id, argMin(campaign, ts) AS campaign, argMin(device, ts) AS device, argMin(page, ts) AS page, min(ts) AS first_ts
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        AND campaign != '' AND NOT lost AND NOT bot
    GROUP BY click_id
)
GROUP BY campaign, device, page, bucket
