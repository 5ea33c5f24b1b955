-- Windows that a flagged conversion left because this tick changed its match: the others there are fewer now. Grain: window.
-- Columns: kind, window, counted_at. The window where it lies is marked by the insert itself (traffic_window_of_matches). Once it is judged
-- there its flag says so, and a further tick at the same moment marks nothing.
SELECT DISTINCT 'conversion' AS kind, flagged.window AS window, now64(3, 'UTC') AS counted_at
FROM (SELECT fact_id, window FROM conversion_flag FINAL WHERE notEmpty(flags)) AS flagged
INNER JOIN
(
    SELECT fact_id, toDateTime(intDiv(toUnixTimestamp(ts), {window_s:Int64}) * {window_s:Int64}, 'UTC') AS window
    FROM conversion_match FINAL
    WHERE fact_id IN (SELECT fact_id FROM matching_target) AND matched_at >= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
) AS changed ON changed.fact_id = flagged.fact_id
WHERE changed.window != flagged.window
