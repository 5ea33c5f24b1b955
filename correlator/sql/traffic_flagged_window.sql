-- Windows where a conversion was flagged whose match this tick changed: it may lie in another one now. Grain: window.
-- Columns: kind, window, counted_at. The window where it lies is marked by the insert itself (traffic_window_of_matches).
SELECT DISTINCT 'conversion' AS kind, window, now64(3, 'UTC') AS counted_at
FROM conversion_flag
WHERE fact_id IN
(
    SELECT fact_id FROM conversion_match
    WHERE fact_id IN (SELECT fact_id FROM matching_target) AND matched_at >= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
)
