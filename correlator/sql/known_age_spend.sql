-- How much of each day's spend a source had told at each age. Grain: (source, day). Columns: those of known_by_age; known is in micros, all
-- currencies together, because only shares are read from it. The age of a bucket is that of its middle. Days from {from_day} on that ended by
-- {through}.
SELECT kind, source, origin, name, day, ages_ms, known, through
FROM
(
    WITH
        arraySort(versions) AS history,
        arrayMap(version -> version.4, history) AS costs,
        arrayMap((cost, before) -> cost - before, costs, arrayPopBack(arrayPushFront(costs, toInt64(0)))) AS changes,
        arrayMap(version -> toUnixTimestamp64Milli(version.1) - middle_ms, history) AS ages
    SELECT
        'spend' AS kind, said_by AS source, '' AS origin, '' AS name, toDate(fromUnixTimestamp64Milli(middle_ms, 'UTC')) AS day,
        sumForEach(arrayMap(age -> toFloat64(arraySum((change, at) -> if(at <= age, change, 0), changes, ages)), {ages_ms:Array(Int64)})) AS amounts,
        {{told}}
    FROM
    (
        SELECT
            groupArray((known_at, toString(segment), o, cost_micros)) AS versions,
            argMin((toString(source), toUnixTimestamp64Milli(ts) + toInt64(bucket_s) * 500), (known_at, toString(segment), o)) AS first,
            first.1 AS said_by,
            first.2 AS middle_ms
        FROM spend
        WHERE NOT claimed AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
            AND ts >= toDateTime64({from_day:Date}, 3, 'UTC') - INTERVAL 1 DAY AND ts < fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        GROUP BY fact_id
    ) AS fact
    INNER JOIN
    (
        SELECT toString(source) AS begun, toDate(min(known_at)) + 1 AS first_day
        FROM spend
        WHERE NOT claimed
        GROUP BY source
    ) AS start ON start.begun = said_by
    WHERE day >= {from_day:Date} AND day >= first_day AND middle_ms < {through:Int64}
    GROUP BY said_by, day
)
