-- Networks of hits loaded since {since} (0: of all). Grain: network. Columns: network. Of no new hits the span is the epoch, where nothing lies.
WITH
    (
        SELECT (min(ts_first), max(ts_last))
        FROM arrival
        WHERE kind = 'click' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ) AS span
SELECT DISTINCT network
FROM click
WHERE {since:Int64} = 0 OR ts BETWEEN span.1 AND span.2
