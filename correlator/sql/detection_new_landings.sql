-- Which clicks that became known between {after} and {through}, both {grace_ms} ago, browsers have told of since. Grain: campaign x device x page.
-- Columns: campaign, device, page, clicks (click IDs of first, human, answered hits), landed (with a page view), engaged (with a second one, or anything
-- a visitor did). A touch counts that became known within {grace_ms} of the click: what comes later is late in the past as well.
WITH fresh AS MATERIALIZED
(
    SELECT
        click_id, any(toString(campaign)) AS campaign, any(toString(device)) AS device, any(toString(page)) AS page, min(hit.ts) AS clicked,
        min(hit.known_at) AS known
    FROM hit
    WHERE known_at > fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({through:Int64} - {grace_ms:Int64}, 'UTC')
        AND NOT claimed AND campaign != '' AND NOT lost AND NOT bot
    GROUP BY click_id
)
SELECT campaign, device, page, count() AS clicks, countIf(views > 0) AS landed, countIf(views > 0 AND (views > 1 OR deeds > 0)) AS engaged
FROM
(
    SELECT
        fresh.campaign AS campaign, fresh.device AS device, fresh.page AS page,
        countIf(told.name = 'page_view' AND told.known_at <= fresh.known + toIntervalMillisecond({grace_ms:Int64})) AS views,
        countIf(told.name NOT IN ('', 'page_view', 'web_vital', 'js_error')
            AND told.known_at <= fresh.known + toIntervalMillisecond({grace_ms:Int64})) AS deeds
    FROM fresh
    LEFT JOIN
    (
        SELECT click_id, toString(name) AS name, known_at
        FROM touch
        WHERE known_at > fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 60000, 'UTC')
            AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
            AND ts >= fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 86400000, 'UTC')
            AND click_id IN (SELECT click_id FROM fresh)
    ) AS told ON told.click_id = fresh.click_id
    GROUP BY fresh.click_id, fresh.campaign, fresh.device, fresh.page
)
GROUP BY campaign, device, page
