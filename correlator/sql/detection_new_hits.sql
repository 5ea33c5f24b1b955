-- Hits that became known after {after} and by {through}. Grain: campaign x device x page x 10 seconds.
-- Columns: campaign, device, page, bucket (ms), hits, lost, invalid, clicks. A click is a first, human, answered hit; `invalid` are answered
-- hits that are none. A repeated click ID starts no new click when its first hit is less than a day older.
WITH fresh AS MATERIALIZED
(
    SELECT campaign, device, page, ts, click_id, lost, bot
    FROM hit
    WHERE known_at > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        AND NOT claimed AND campaign != ''
)
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    intDiv(toUnixTimestamp64Milli(ts), 10000) * 10000 AS bucket,
    count() AS hits,
    countIf(lost) AS lost,
    countIf(NOT lost AND NOT first) AS invalid,
    countIf(first) AS clicks
FROM
(
    SELECT
        campaign, device, page, ts, lost,
        NOT lost AND NOT bot AND click_id NOT IN (
            SELECT click_id FROM click
            WHERE click_id IN (SELECT click_id FROM fresh) AND http_status < 400
                AND known_at <= fromUnixTimestamp64Milli({after:Int64}, 'UTC')
                AND ts >= fromUnixTimestamp64Milli({through:Int64} - 86400000, 'UTC')
        ) AND row_number() OVER (PARTITION BY click_id, lost OR bot ORDER BY ts) = 1 AS first
    FROM fresh
)
GROUP BY campaign, device, page, bucket
