-- How many forms that are begun are usually submitted, by the rule of detection_new_forms. Grain: page x device x hour.
-- Columns: page, device, hour (since the epoch), begun, submitted. Intervals of past incidents are left out.
WITH begun AS MATERIALIZED
(
    SELECT
        if(session_id != '', session_id, hex(click_id)) AS visit, toString(page) AS page, any(user_agent) AS agent, min(touch.known_at) AS known,
        intDiv(toUnixTimestamp64Milli(min(touch.ts)), 3600000) AS hour
    FROM touch
    WHERE name = 'form_start' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND (session_id != '' OR click_id != toFixedString('', 16))
        AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
    GROUP BY visit, page
)
SELECT
    begun.page AS page, agents.device AS device, begun.hour AS hour, count() AS begun,
    countIf(sent.first <= begun.known + toIntervalMillisecond({engaged_ms:Int64}) AND sent.tries > 0) AS submitted
FROM begun
LEFT JOIN
(
    SELECT if(session_id != '', session_id, hex(click_id)) AS visit, toString(page) AS page, min(known_at) AS first, count() AS tries
    FROM touch
    WHERE name = 'form_submit' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
        AND ts < fromUnixTimestamp64Milli({end:Int64} + {engaged_ms:Int64}, 'UTC')
    GROUP BY visit, page
) AS sent ON sent.visit = begun.visit AND sent.page = begun.page
LEFT ANY JOIN (SELECT user_agent, toString(device) AS device FROM user_agent_dim FINAL) AS agents ON agents.user_agent = begun.agent
GROUP BY page, device, hour
