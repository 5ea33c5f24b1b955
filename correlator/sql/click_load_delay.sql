-- How long clicks took from the journal into the store in the last five minutes, measured when they were loaded. Grain: one row.
-- Columns: blocks, p50_s, p95_s (nan without blocks). By the block's newest line; blocks
-- with claimed history do not count, because their lines say when they were known elsewhere.
SELECT
    count() AS blocks,
    quantile(0.5)(toUnixTimestamp64Milli(loaded_at) - toUnixTimestamp64Milli(known_last)) / 1000 AS p50_s,
    quantile(0.95)(toUnixTimestamp64Milli(loaded_at) - toUnixTimestamp64Milli(known_last)) / 1000 AS p95_s
FROM arrival
WHERE kind = 'click' AND claimed = 0 AND loaded_at > now64(3) - INTERVAL 5 MINUTE
