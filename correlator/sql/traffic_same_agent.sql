-- Hits of one user agent that suddenly comes from many networks. Grain: (hit, flag).
-- Columns: window, segment, o, ts, flag, observed (its hits in the window), usual (hits by its share of the 24 hours before).
-- Of the user agents in traffic_loud, those with {burst_factor} times the usual; judged only where the campaign had 200 hits in those hours. A
-- new version of a browser comes suddenly, too, but its people land.
WITH past AS
(
    SELECT window, campaign, source, countIf(before.user_agent = source) AS same, count() AS hits
    FROM (SELECT * FROM traffic_loud WHERE flag = 'same_agent') AS spread
    INNER JOIN
    (
        SELECT campaign, ts, user_agent FROM click
        WHERE campaign IN (SELECT campaign FROM traffic_loud WHERE flag = 'same_agent')
            AND ts >= (SELECT min(window) FROM traffic_loud) - 86400 AND ts < (SELECT max(window) FROM traffic_loud)
    ) AS before USING (campaign)
    WHERE before.ts >= spread.window - 86400 AND before.ts < spread.window
    GROUP BY window, campaign, source
)
SELECT window, segment, o, ts, 'same_agent' AS flag, toFloat32(clicks) AS observed, toFloat32(usual) AS usual
FROM traffic_hit
INNER JOIN
(
    SELECT window, campaign, source AS user_agent, traffic_loud.hits AS clicks, total * (same + 1) / (past.hits + 1) AS usual
    FROM traffic_loud
    INNER JOIN past USING (window, campaign, source)
    WHERE flag = 'same_agent' AND past.hits >= 200 AND clicks > {burst_factor:Float64} * usual
) AS sudden USING (window, campaign, user_agent)
