-- Change markers in [{start}, {end}]. Grain: change marker. Columns: service, version, change, author, link, ts (ms), known_at (ms).
SELECT
    toString(service) AS service,
    toString(version) AS version,
    toString(change) AS change,
    toString(author) AS author,
    link,
    toUnixTimestamp64Milli(ts) AS ts,
    toUnixTimestamp64Milli(known_at) AS known_at
FROM deploy_current
WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY ts
