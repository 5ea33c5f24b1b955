-- Windows that are over and have not been judged with everything loaded so far, oldest first, {most_hits} hits at most (always one window).
-- Grain: (kind, window). Columns: kind, window.
-- A window waits {grace_s} s for its touches. What counts in it also belongs to what is usual in the 24 hours after it. A row is stamped
-- before it can be read, so a window judged within {overlap_ms} of its newest row is judged once more. A window of long ago is being
-- imported: it waits until its rows have stopped coming for as long, and is judged once.
WITH
    stamped AS
    (
        SELECT
            kind, window, judged,
            greatest(touched, max(counted) OVER (PARTITION BY kind ORDER BY toInt64(window) RANGE BETWEEN 86400 PRECEDING AND CURRENT ROW)) AS seen
        FROM
        (
            SELECT kind, window, max(counted_at) AS counted, max(touched_at) AS touched, max(judged_at) AS judged
            FROM traffic_window
            GROUP BY kind, window
        )
    ),
    due AS MATERIALIZED
    (
        SELECT kind, window
        FROM stamped
        WHERE toInt64(window) + {window_s:Int64} + {grace_s:Int64} <= intDiv({now:Int64}, 1000)
            AND ((judged < seen AND toInt64(window) + {import_s:Int64} > intDiv({now:Int64}, 1000))
                OR (judged < seen + toIntervalMillisecond({overlap_ms:Int64}) AND seen + toIntervalMillisecond({overlap_ms:Int64}) <= now64(3)))
        ORDER BY window, kind
        LIMIT 2000
    )
SELECT kind, window
FROM
(
    SELECT kind, window, sum(hits) OVER (ORDER BY window, kind ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far, row_number() OVER (ORDER BY window, kind) AS nth
    FROM due
    LEFT JOIN
    (
        SELECT toDateTime(intDiv(toUnixTimestamp(ts), {window_s:Int64}) * {window_s:Int64}, 'UTC') AS window, count() AS hits
        FROM click
        WHERE ts >= (SELECT min(window) FROM due) AND ts < (SELECT max(window) FROM due) + {window_s:Int64}
        GROUP BY window
    ) AS size USING (window)
)
WHERE so_far <= {most_hits:Int64} OR nth = 1
ORDER BY window, kind
