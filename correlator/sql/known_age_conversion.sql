-- How many conversions of each day counted at each age. Grain: (source, origin, type, day). Columns: those of known_by_age.
-- A version adds what it changes: 1 when the conversion begins to count, -1 when it is rejected or turns out a duplicate. Day, source, origin
-- and type are those of the first version, so that a later one moves nothing. Days from {from_day} on that ended by {through}.
SELECT kind, source, origin, name, day, ages_ms, known, through
FROM
(
    WITH
        arraySort(versions) AS history,
        arrayMap(version -> toInt8(version.5 NOT IN ('rejected', 'duplicate')), history) AS counts,
        arrayMap((count, before) -> count - before, counts, arrayPopBack(arrayPushFront(counts, 0))) AS changes,
        arrayMap(version -> toUnixTimestamp64Milli(version.1) - toUnixTimestamp64Milli(history[1].4), history) AS ages
    SELECT
        'conversion' AS kind, first.1 AS source, first.2 AS origin, first.3 AS name, first.4 AS day,
        sumForEach(arrayMap(age -> toFloat64(arraySum((change, at) -> if(at <= age, change, 0), changes, ages)), {ages_ms:Array(Int64)})) AS amounts,
        {{told}}
    FROM
    (
        SELECT
            groupArray((known_at, toString(segment), o, ts, toString(status))) AS versions,
            argMin((toString(source), toString(origin), toString(type), toDate(ts)), (known_at, toString(segment), o)) AS first
        FROM conversion
        WHERE NOT claimed AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
            -- A state reached later carries its own time: all versions of a fact count, whichever day they tell.
            AND fact_id IN (SELECT fact_id FROM conversion WHERE ts >= toDateTime64({from_day:Date}, 3, 'UTC'))
        GROUP BY fact_id
    ) AS fact
    INNER JOIN
    (
        SELECT toString(source) AS begun, toDate(min(known_at)) + 1 AS first_day
        FROM conversion
        WHERE NOT claimed
        GROUP BY source
    ) AS start ON start.begun = first.1
    WHERE first.4 >= first_day AND first.4 >= {from_day:Date} AND first.4 < toDate(fromUnixTimestamp64Milli({through:Int64}, 'UTC'))
    GROUP BY first
)
