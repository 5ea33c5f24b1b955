-- How many clicks usually land, and how many visits go on, by the rule of detection_new_landings. Grain: campaign x device x page x hour.
-- Columns: campaign, device, page, hour (since the epoch), clicks, landed, landed_late, engaged (of landed_late: what {engaged_ms} show).
-- One click ID in {sample}. Intervals of past incidents are left out.
WITH chosen AS MATERIALIZED
(
    SELECT
        click_id, any(toString(campaign)) AS campaign, any(toString(device)) AS device, any(toString(page)) AS page, min(hit.ts) AS clicked,
        min(hit.known_at) AS known
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND campaign != '' AND NOT lost AND NOT bot AND cityHash64(click_id) % {sample:Int64} = 0
        AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
    GROUP BY click_id
)
SELECT
    campaign, device, page, intDiv(toUnixTimestamp64Milli(clicked), 3600000) AS hour,
    count() AS clicks, countIf(soon > 0) AS landed, countIf(views > 0) AS landed_late, countIf(views > 0 AND (views > 1 OR deeds > 0)) AS engaged
FROM
(
    SELECT
        chosen.campaign AS campaign, chosen.device AS device, chosen.page AS page, chosen.clicked AS clicked,
        countIf(told.name = 'page_view' AND told.known_at <= chosen.known + toIntervalMillisecond({landed_ms:Int64})) AS soon,
        countIf(told.name = 'page_view' AND told.known_at <= chosen.known + toIntervalMillisecond({engaged_ms:Int64})) AS views,
        countIf(told.name NOT IN ('', 'page_view', 'web_vital', 'js_error')
            AND told.known_at <= chosen.known + toIntervalMillisecond({engaged_ms:Int64})) AS deeds
    FROM chosen
    LEFT JOIN
    (
        SELECT click_id, toString(name) AS name, known_at
        FROM touch
        WHERE ts >= fromUnixTimestamp64Milli({since:Int64} - 60000, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64} + {engaged_ms:Int64}, 'UTC')
            AND click_id != toFixedString('', 16) AND cityHash64(click_id) % {sample:Int64} = 0
    ) AS told ON told.click_id = chosen.click_id
    GROUP BY chosen.click_id, chosen.campaign, chosen.device, chosen.page, chosen.clicked
)
GROUP BY campaign, device, page, hour
