-- Service minutes that became known after {after} and by {through}. Grain: service x route x device, and device '' = all devices together.
-- Columns: service, route, device, requests, errors, buckets.
SELECT
    toString(service) AS service,
    toString(route) AS route,
    each AS device,
    sum(requests) AS requests,
    sum(errors) AS errors,
    sumForEach(buckets) AS buckets
FROM service
ARRAY JOIN arrayDistinct([toString(device), '']) AS each
WHERE known_at > fromUnixTimestamp64Milli({after:Int64}, 'UTC') AND known_at <= fromUnixTimestamp64Milli({through:Int64}, 'UTC')
    AND NOT claimed
GROUP BY service, route, each
