-- Raw user agents of hits and conversions loaded since {since} that nobody has parsed yet. Grain: user agent. Columns: user_agent.
WITH block AS
(
    SELECT kind, count() AS blocks, min(ts_first) AS ts_first, max(ts_last) AS ts_last
    FROM arrival
    WHERE loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    GROUP BY kind
)
SELECT toString(user_agent) AS user_agent
FROM
(
    SELECT user_agent FROM click
    WHERE (SELECT sum(blocks) FROM block WHERE kind = 'click') > 0
        AND ts >= (SELECT min(ts_first) FROM block WHERE kind = 'click') AND ts <= (SELECT max(ts_last) FROM block WHERE kind = 'click')
    UNION DISTINCT
    SELECT user_agent FROM conversion
    WHERE (SELECT sum(blocks) FROM block WHERE kind = 'conversion') > 0
        AND ts >= (SELECT min(ts_first) FROM block WHERE kind = 'conversion')
        AND ts <= (SELECT max(ts_last) FROM block WHERE kind = 'conversion')
)
WHERE user_agent != '' AND toString(user_agent) NOT IN (SELECT user_agent FROM user_agent_dim)
