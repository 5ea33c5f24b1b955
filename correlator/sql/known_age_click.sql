-- How many of each day's hits were known at each age. Grain: (source, day). Columns: those of known_by_age. Days from {from_day} on that
-- ended by {through}.
SELECT kind, source, origin, name, day, ages_ms, known, through
FROM
(
    SELECT
        'click' AS kind, toString(click.source) AS source, '' AS origin, '' AS name, toDate(ts) AS day,
        sumForEach(arrayMap(
            age -> toFloat64(toUnixTimestamp64Milli(known_at) - toUnixTimestamp64Milli(ts) <= age), {ages_ms:Array(Int64)})) AS amounts,
        {{told}}
    FROM click
    WHERE NOT claimed AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        AND ts >= toDateTime64({from_day:Date}, 3, 'UTC') AND ts < fromUnixTimestamp64Milli({through:Int64}, 'UTC')
    GROUP BY click.source, day
)
