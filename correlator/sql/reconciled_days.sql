-- How many reached each step on earlier days, as the newest daily run due by {as_of} counted it. Grain: (day, campaign).
-- Columns: at (ms, its beginning in UTC), campaign ('' = none), steps (step -> count).
SELECT toUnixTimestamp64Milli(toDateTime64(day, 3, 'UTC')) AS at, campaign, steps
FROM reconciled_day FINAL
WHERE day >= toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')) AND day < toDate(fromUnixTimestamp64Milli({until:Int64}, 'UTC'))
    AND (day, known_by) IN
    (
        SELECT day, max(known_by)
        FROM reconciliation_run
        WHERE known_by <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY day
    )
    AND {{visible_campaign}}
