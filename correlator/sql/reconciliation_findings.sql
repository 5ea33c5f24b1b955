-- What the daily reconciliation found of the days that begin in a period, by the newest run of each that was due by {as_of}.
-- Grain: (day, scope, kind, name, system). Columns: at (ms, the day's beginning in UTC), known_by (ms), scope ('*' = all campaigns), kind, name, system,
-- against, count, expected, currency, cause, causes (JSON). Somebody who sees some clients only sees their campaigns' rows, not those of all.
SELECT
    toUnixTimestamp64Milli(toDateTime64(day, 3, 'UTC')) AS at,
    toUnixTimestamp64Milli(known_by) AS due,
    scope,
    kind,
    name,
    system,
    against,
    count,
    expected,
    currency,
    cause,
    causes
FROM
(
    SELECT *, if(scope = '*', '', scope) AS campaign
    FROM reconciliation_finding FINAL
    WHERE day >= toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')) AND day < toDate(fromUnixTimestamp64Milli({until:Int64} + 86399999, 'UTC'))
        AND (day, known_by) IN
        (
            SELECT day, max(known_by)
            FROM reconciliation_run
            WHERE known_by <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            GROUP BY day
        )
)
WHERE {{visible_campaign}}
ORDER BY at DESC, scope != '*', scope, kind, name, system
