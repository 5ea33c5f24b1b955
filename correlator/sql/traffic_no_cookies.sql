-- Hits of one address and user agent that is a new visitor at every click and never reaches the page. Grain: (hit, flag).
-- Columns: window, segment, o, ts, flag, observed (its clicks in the window), usual (1: what a visitor does).
-- Many people may share an address and a phone's user agent, but they land: where the campaign's others do, the silence of {silent_clicks}
-- clicks must be as unlikely as in traffic_no_landing; where nobody does (no snippet), three times as many clicks are asked for.
-- Background calls carry no cookie by nature, and whoever refused consent has none: both are left out.
SELECT window, segment, o, ts, 'no_cookies' AS flag, toFloat32(clicks) AS observed, toFloat32(1) AS usual
FROM traffic_hit
INNER JOIN
(
    SELECT
        window, campaign, network_hash, user_agent, clicks, landed,
        (sum(landed) OVER (PARTITION BY window, campaign) - landed) / greatest(sum(clicks) OVER (PARTITION BY window, campaign) - clicks, 1) AS usual,
        cookieless
    FROM
    (
        SELECT
            window, campaign, network_hash, user_agent, count() AS clicks, countIf(traffic_hit.landed) AS landed,
            uniqExact(visitor_id) = count() AS cookieless
        FROM traffic_hit
        WHERE campaign != '' AND NOT parallel AND visitor_id != toFixedString('', 16) AND network_hash != toFixedString('', 8)
        GROUP BY window, campaign, network_hash, user_agent
    )
) AS source USING (window, campaign, network_hash, user_agent)
WHERE cookieless AND source.landed = 0 AND NOT parallel AND visitor_id != toFixedString('', 16)
    AND clicks >= if(usual > 0, 1, 3) * {silent_clicks:Int64} AND (usual = 0 OR (usual >= 0.2 AND -clicks * log(1 - least(usual, 0.999)) > 13.8))
