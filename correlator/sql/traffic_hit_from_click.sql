-- Hits of the due windows, each with the first page view of its click ID from a minute before it on. Grain: hit. Columns: those of traffic_hit.
-- landed: that page view came within {grace_s} s; landed_ms is the time to it (negative: the page was there before, as with parallel
-- tracking).
SELECT
    visit.window AS window, segment, o, ts, visit.click_id AS click_id, campaign, page, network, network_hash, user_agent, visitor_id,
    lost, parallel,
    viewed_ms > 0 AND viewed_ms <= at_ms + {grace_s:Int64} * 1000 AS landed,
    if(landed, viewed_ms - at_ms, 0) AS landed_ms
FROM
(
    SELECT
        toDateTime(intDiv(toUnixTimestamp(ts), {window_s:Int64}) * {window_s:Int64}, 'UTC') AS window,
        segment, o, ts, click_id, campaign, page, network, network_hash, user_agent, visitor_id, http_status >= 400 AS lost, parallel,
        toUnixTimestamp64Milli(ts) AS at_ms, at_ms - 60000 AS from_ms
    FROM click
    WHERE ts >= (SELECT min(window) FROM traffic_due WHERE kind = 'hit') AND ts < (SELECT max(window) FROM traffic_due WHERE kind = 'hit') + {window_s:Int64}
        AND window IN (SELECT window FROM traffic_due WHERE kind = 'hit')
) AS visit
ASOF LEFT JOIN
(
    SELECT click_id, toUnixTimestamp64Milli(ts) AS viewed_ms
    FROM touch
    WHERE name = 'page_view' AND click_id != toFixedString('', 16)
        AND ts >= (SELECT min(window) FROM traffic_due WHERE kind = 'hit') - 60
        AND ts < (SELECT max(window) FROM traffic_due WHERE kind = 'hit') + {window_s:Int64} + {grace_s:Int64}
) AS page_view ON page_view.click_id = visit.click_id AND visit.from_ms <= page_view.viewed_ms
