-- What other systems counted in a period, as known at {as_of}, complete buckets only. Grain: (campaign, bucket, name, origin).
-- Columns: campaign, bucket (ms), type (the tally's name), origin, count, sums (micros by currency as told).
-- A bucket is complete when the watermark of the sources that read such tallies has passed it; of several the slowest that still is read.
-- A bucket is spread evenly over the parts of it, as cost is. Sessions of whole days are left out: those of hours are the same ones.
WITH
    mark AS
    (
        SELECT
            splitByChar(':', toString(source))[1] AS kind,
            argMax(complete_through, (known_at, toString(segment), o)) AS through,
            max(known_at) >= (SELECT max(known_at) FROM watermark WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')) - INTERVAL 2 DAY AS is_read
        FROM watermark
        WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY source
    ),
    complete AS (SELECT kind, if(countIf(is_read) > 0, minIf(through, is_read), max(through)) AS through FROM mark GROUP BY kind),
    piece AS
    (
        SELECT
            name,
            origin,
            campaign,
            count,
            value_micros,
            toString(currency) AS told_in,
            toUnixTimestamp64Milli(tally.ts) AS begins,
            begins + toInt64(bucket_s) * 1000 AS ends,
            {{spread}}
        FROM tally_as_of(as_of={as_of:Int64}) AS tally
        INNER JOIN complete ON complete.kind = tally.source
        WHERE tally.ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
            AND tally.ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 31 DAY
            AND tally.ts + toIntervalSecond(bucket_s) > fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND tally.ts + toIntervalSecond(bucket_s) <= complete.through
            AND (name != 'session' OR (campaign != '' AND bucket_s <= 7200))
            AND {{visible}}
    )
SELECT
    toString(campaign) AS campaign,
    {since:Int64} + toInt64(part) * {grain_ms:Int64} AS bucket,
    toString(name) AS type,
    toString(origin) AS origin,
    sum(count * (part_ends - part_begins) / (ends - begins)) AS count,
    sumMapIf(map(told_in, toInt64(intDiv(toInt128(value_micros) * (part_ends - part_begins), ends - begins))), value_micros != 0) AS sums
FROM piece
GROUP BY campaign, bucket, type, origin
ORDER BY campaign, bucket, type, origin
