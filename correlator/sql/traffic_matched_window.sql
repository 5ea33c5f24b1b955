-- Windows of the conversions whose match this tick changed, and those where such a conversion was flagged before. Grain: window.
-- Columns: kind, window, counted_at.
SELECT 'conversion' AS kind, window, now64(3, 'UTC') AS counted_at
FROM
(
    SELECT toDateTime(intDiv(toUnixTimestamp(ts), {window_s:Int64}) * {window_s:Int64}, 'UTC') AS window
    FROM conversion_match WHERE matched_at >= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
    UNION DISTINCT
    SELECT window FROM conversion_flag
    WHERE fact_id IN (SELECT fact_id FROM conversion_match WHERE matched_at >= fromUnixTimestamp64Milli({now:Int64}, 'UTC'))
)
