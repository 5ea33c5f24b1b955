-- Service minutes around an incident. Grain: service x route x version x device x minute.
-- Columns: service, route, version, device, minute (ms), requests, errors, buckets.
SELECT
    toString(service) AS service,
    toString(route) AS route,
    toString(version) AS version,
    toString(device) AS device,
    intDiv(toUnixTimestamp64Milli(ts), 60000) * 60000 AS minute,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sumForEach(buckets) AS buckets
FROM service
WHERE ts >= fromUnixTimestamp64Milli({start:Int64} - 60000, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
GROUP BY service, route, version, device, minute
