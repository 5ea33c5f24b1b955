-- Hits whose page view came sooner than a browser can follow the redirect, load the page and run its script. Grain: (hit, flag).
-- Columns: window, segment, o, ts, flag, observed (ms from hit to page view), usual (median of the campaign in the window, ms).
-- Background calls and click IDs that several hits carry are left out: their page was open before.
WITH usual AS
(
    SELECT window, campaign, quantileExactIf(0.5)(landed_ms, landed AND NOT parallel) AS median FROM traffic_hit GROUP BY window, campaign
)
SELECT window, segment, o, ts, 'fast_landing' AS flag, toFloat32(landed_ms) AS observed, toFloat32(usual.median) AS usual
FROM traffic_hit
INNER JOIN usual USING (window, campaign)
WHERE landed AND NOT parallel AND landed_ms >= 0 AND landed_ms < {fastest_landing_ms:Int64}
    AND click_id NOT IN (SELECT click_id FROM repeated_click)
