-- Raw user agents of hits and conversions loaded since {since} that nobody has parsed yet. Grain: user agent. Columns: user_agent.
-- Without new rows of a kind its span is the epoch, where nothing lies.
WITH
    (
        SELECT (
            minIf(ts_first, kind = 'click'), maxIf(ts_last, kind = 'click'),
            minIf(ts_first, kind = 'conversion'), maxIf(ts_last, kind = 'conversion'))
        FROM arrival
        WHERE loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ) AS span
SELECT toString(user_agent) AS user_agent
FROM
(
    SELECT user_agent FROM click WHERE ts BETWEEN span.1 AND span.2
    UNION DISTINCT
    SELECT user_agent FROM conversion WHERE ts BETWEEN span.3 AND span.4
)
WHERE user_agent != '' AND toString(user_agent) NOT IN (SELECT user_agent FROM user_agent_dim)
