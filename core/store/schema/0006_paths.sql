-- path_key: whose clicks a running attribution looks for, because the engine repeats a named subquery at every mention. Filled and dropped
-- by each question; what a stopped process left behind goes with the hour. Grain: (question, conversion (fact_id), key).
-- `space` 0 = `key` is a click ID, 1 = a visitor ID.
CREATE TABLE IF NOT EXISTS path_key
(
    question UInt64,
    asked_at DateTime DEFAULT now(),
    fact_id String,
    space UInt8,
    key FixedString(16)
)
ENGINE = MergeTree
PARTITION BY question
ORDER BY (space, key)
TTL asked_at + INTERVAL 1 HOUR;
