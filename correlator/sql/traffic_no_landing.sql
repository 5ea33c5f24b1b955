-- Answered hits without a page view, of networks whose clicks hardly ever reach the page where others of the same campaign and page do.
-- Grain: (hit, flag). Columns: window, segment, o, ts, flag, observed (share of the network's clicks that landed), usual (of the others').
-- Judged from {silent_clicks} clicks on, against at least 20 others of which one in five landed. The chance of so few landings among people is
-- at most exp(-n KL(observed || usual)) (Chernoff's bound) and must be under one in a million; a missing page view alone says nothing.
WITH counted AS
(
    SELECT
        window, campaign, page, network, clicks, landed,
        sum(clicks) OVER (PARTITION BY window, campaign, page) - clicks AS other_clicks,
        sum(landed) OVER (PARTITION BY window, campaign, page) - landed AS other_landed
    FROM
    (
        SELECT window, campaign, page, network, uniqExact(click_id) AS clicks, uniqExactIf(click_id, traffic_hit.landed) AS landed
        FROM traffic_hit
        WHERE campaign != '' AND NOT lost
        GROUP BY window, campaign, page, network
    )
)
SELECT window, segment, o, ts, 'no_landing' AS flag, toFloat32(observed) AS observed, toFloat32(usual) AS usual
FROM traffic_hit
INNER JOIN
(
    SELECT
        window, campaign, page, network, landed / clicks AS observed, other_landed / other_clicks AS usual,
        clicks * (if(observed > 0, observed * log(observed / usual), 0) + (1 - observed) * log((1 - observed) / (1 - least(usual, 0.999)))) AS nats
    FROM counted
    WHERE network != '' AND clicks >= {silent_clicks:Int64} AND other_clicks >= 20 AND other_landed * 5 >= other_clicks
        AND observed < usual / 2 AND nats > 13.8
) AS silent USING (window, campaign, page, network)
WHERE NOT traffic_hit.landed AND NOT lost
