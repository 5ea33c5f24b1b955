-- Change markers between {since} and {until}, as known at {as_of}. Grain: change marker. Columns: ts (ms), service, version, change, author, link.
SELECT toUnixTimestamp64Milli(deploy.ts) AS ts, toString(service) AS service, toString(version) AS version, toString(change) AS change,
    toString(author) AS author, link, description
FROM deploy_as_of(as_of={as_of:Int64}) AS deploy
WHERE deploy.ts BETWEEN fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND fromUnixTimestamp64Milli({until:Int64}, 'UTC')
ORDER BY deploy.ts
