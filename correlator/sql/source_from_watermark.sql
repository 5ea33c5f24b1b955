-- How far every source has said it is complete, as known at {as_of}. Grain: source.
-- Columns: source, complete_through (ms), documented_lag_s, read_at (ms, newest reading), usual_gap_ms (median time between readings).
SELECT
    toString(source) AS source,
    toUnixTimestamp64Milli(argMax(complete_through, place)) AS complete_through,
    argMax(documented_lag_s, place) AS documented_lag_s,
    max(read_ms) AS read_at,
    toInt64(ifNotFinite(quantileExactIf(0.5)(gap, gap > 0), 0)) AS usual_gap_ms
FROM
(
    SELECT
        source, complete_through, documented_lag_s,
        (known_at, toString(segment), o) AS place,
        toUnixTimestamp64Milli(known_at) AS read_ms,
        read_ms - lagInFrame(toUnixTimestamp64Milli(known_at), 1, toUnixTimestamp64Milli(known_at)) OVER (
            PARTITION BY source ORDER BY known_at, segment, o ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS gap
    FROM watermark
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
)
GROUP BY source
ORDER BY source
