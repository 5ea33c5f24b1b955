-- Usual errors and durations of every route. Grain: service x route x device, and device '' = all devices together.
-- Columns: service, route, device, requests, errors, buckets (counts by core.records.DURATION_BOUNDS_S, the last one open), hours, squares, errors_scatter,
-- timed, timed_squares, slower_scatter. squares: sum over the hours of requests^2; errors_scatter: of errors^2 / requests. timed and
-- slower_scatter: the same of requests with a duration; position n: of those in bucket n and above.
SELECT
    service,
    route,
    device,
    sum(asked) AS requests,
    sum(failed) AS errors,
    sumForEach(taken) AS buckets,
    count() AS hours,
    sum(pow(asked, 2)) AS squares,
    sum(if(asked > 0, pow(failed, 2) / asked, 0)) AS errors_scatter,
    countIf(arraySum(taken) > 0) AS timed,
    sum(pow(arraySum(taken), 2)) AS timed_squares,
    sumForEach(arrayMap(
        slower -> if(arraySum(taken) > 0, pow(slower, 2) / arraySum(taken), 0), arrayReverse(arrayCumSum(arrayReverse(taken))))) AS slower_scatter
FROM
(
    SELECT
        toString(service) AS service,
        toString(route) AS route,
        each AS device,
        intDiv(toUnixTimestamp64Milli(ts), 3600000) AS hour,
        sum(requests) AS asked,
        sum(errors) AS failed,
        sumForEach(buckets) AS taken
    FROM service
    ARRAY JOIN arrayDistinct([toString(device), '']) AS each
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
    GROUP BY service, route, each, hour
)
GROUP BY service, route, device
