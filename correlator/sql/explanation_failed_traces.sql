-- Traces of paid clicks that failed, newest first. Grain: trace. Columns: trace_id, click_id (hex), ts (ms), service, route, error, http_status,
-- campaign, device, page, browser.
SELECT
    lower(hex(s.trace_id)) AS trace_id,
    lower(hex(s.click_id)) AS click_id,
    toUnixTimestamp64Milli(s.first_ts) AS ts,
    toString(s.worst.1) AS service,
    toString(s.worst.2) AS route,
    toString(s.worst.3) AS error,
    toUInt16(s.worst.4) AS http_status,
    toString(h.campaign) AS campaign,
    toString(h.device) AS device,
    toString(h.page) AS page,
    toString(h.browser) AS browser
FROM
(
    SELECT
        trace_id,
        any(click_id) AS click_id,
        min(ts) AS first_ts,
        -- The span that says why: one with an error text before one that only has a status, the deepest (latest started) of those.
        argMax((toString(service), if(route != '', toString(route), toString(name)), error, http_status), (error != '', http_status >= 500, ts)) AS worst
    FROM span
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND (status = 'error' OR http_status >= 500
            OR ({slow:Bool} AND duration_us > transform(concat(service, '|', route), {routes:Array(String)}, {bounds_us:Array(Int64)}, toInt64(9e15))))
    GROUP BY trace_id
) AS s
INNER JOIN
(
    SELECT click_id, any(campaign) AS campaign, any(device) AS device, any(page) AS page, any(browser) AS browser
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64} - 3600000, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC') AND campaign != ''
    GROUP BY click_id
) AS h ON h.click_id = s.click_id
ORDER BY s.first_ts DESC
LIMIT {limit:UInt32}
