-- The newest line of every kind that was learned in the day before {at}, as known at {as_of}. Grain: kind.
-- Columns: kind, event_at (ms, newest event time), known_at (ms, newest known_at), lines.
WITH
    fromUnixTimestamp64Milli({at:Int64} - 86400000, 'UTC') AS begins,
    fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AS ends
SELECT kind, toUnixTimestamp64Milli(max(ts)) AS event_at, toUnixTimestamp64Milli(max(known)) AS known_at, count() AS lines
FROM
(
    SELECT 'click' AS kind, ts, known_at AS known FROM click WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'touch', ts, known_at FROM touch WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'conversion', ts, known_at FROM conversion WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'spend', ts, known_at FROM spend WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'service', ts, known_at FROM service WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'span', ts, known_at FROM span WHERE known_at BETWEEN begins AND ends
    UNION ALL
    SELECT 'deploy', ts, known_at FROM deploy WHERE known_at BETWEEN begins AND ends
)
GROUP BY kind
ORDER BY kind
