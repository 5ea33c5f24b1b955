-- Usual errors and durations of every route. Grain: service x route x device.
-- Columns: service, route, device, requests, errors, buckets (counts by core.records.DURATION_BOUNDS_S, the last one open).
SELECT
    toString(service) AS service,
    toString(route) AS route,
    toString(device) AS device,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sumForEach(buckets) AS buckets
FROM service
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND NOT arrayExists(i -> toUnixTimestamp64Milli(ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
GROUP BY service, route, device
