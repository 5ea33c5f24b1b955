-- Which forms that were begun (known between {after} and {through}, both {grace_ms} ago) have been submitted since. Grain: page x device.
-- Columns: page, device, begun (visits that began a form of that page, for the first time in half an hour), submitted. A visit is a session,
-- without one a click.
WITH begun AS MATERIALIZED
(
    SELECT if(session_id != '', session_id, hex(click_id)) AS visit, toString(page) AS page, any(user_agent) AS agent, min(touch.known_at) AS known
    FROM touch
    WHERE name = 'form_start' AND known_at > fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({through:Int64} - {grace_ms:Int64}, 'UTC')
        AND ts >= fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 86400000, 'UTC')
        AND NOT claimed AND (session_id != '' OR click_id != toFixedString('', 16))
        AND (visit, toString(page)) NOT IN
        (
            SELECT if(session_id != '', session_id, hex(click_id)) AS visit, toString(page)
            FROM touch
            WHERE name = 'form_start' AND known_at > fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 1800000, 'UTC')
                AND known_at <= fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64}, 'UTC')
                AND ts >= fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 86400000, 'UTC')
        )
    GROUP BY visit, page
)
SELECT begun.page AS page, agents.device AS device, count() AS begun,
    countIf(sent.first <= begun.known + toIntervalMillisecond({grace_ms:Int64}) AND sent.tries > 0) AS submitted
FROM begun
LEFT JOIN
(
    SELECT if(session_id != '', session_id, hex(click_id)) AS visit, toString(page) AS page, min(known_at) AS first, count() AS tries
    FROM touch
    WHERE name = 'form_submit' AND known_at > fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        AND ts >= fromUnixTimestamp64Milli({after:Int64} - {grace_ms:Int64} - 86400000, 'UTC')
    GROUP BY visit, page
) AS sent ON sent.visit = begun.visit AND sent.page = begun.page
LEFT ANY JOIN (SELECT user_agent, toString(device) AS device FROM user_agent_dim FINAL WHERE user_agent IN (SELECT agent FROM begun)) AS agents
    ON agents.user_agent = begun.agent
GROUP BY page, device
