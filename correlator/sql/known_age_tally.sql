-- How much of what another system counted in a day it had told at each age. Grain: (source, origin, name, day). Columns: those of
-- known_by_age. The age of a bucket is that of its middle. Days from {from_day} on that ended by {through}.
SELECT kind, source, origin, name, day, ages_ms, known, through
FROM
(
    WITH
        arraySort(versions) AS history,
        arrayMap(version -> version.4, history) AS counts,
        arrayMap((count, before) -> count - before, counts, arrayPopBack(arrayPushFront(counts, 0.))) AS changes,
        arrayMap(version -> toUnixTimestamp64Milli(version.1) - first.4, history) AS ages
    SELECT
        'tally' AS kind, first.1 AS source, first.2 AS origin, first.3 AS name, toDate(fromUnixTimestamp64Milli(first.4, 'UTC')) AS day,
        sumForEach(arrayMap(age -> arraySum((change, at) -> if(at <= age, change, 0.), changes, ages), {ages_ms:Array(Int64)})) AS amounts,
        {{told}}
    FROM
    (
        SELECT
            groupArray((known_at, toString(segment), o, count)) AS versions,
            argMin((toString(source), toString(origin), toString(name), toUnixTimestamp64Milli(ts) + toInt64(bucket_s) * 500),
                (known_at, toString(segment), o)) AS first
        FROM tally
        WHERE NOT claimed AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
            AND ts >= toDateTime64({from_day:Date}, 3, 'UTC') - INTERVAL 1 DAY AND ts < fromUnixTimestamp64Milli({through:Int64}, 'UTC')
        GROUP BY fact_id
    ) AS fact
    INNER JOIN
    (
        SELECT toString(source) AS begun, toDate(min(known_at)) + 1 AS first_day
        FROM tally
        WHERE NOT claimed
        GROUP BY source
    ) AS start ON start.begun = first.1
    WHERE day >= {from_day:Date} AND day >= first_day AND first.4 < {through:Int64}
    GROUP BY first.1, first.2, first.3, day
)
