-- Which sources bring what two sides of a break are made of, as known at {as_of}. Grain: (type, origin, source). Columns: type ('' = spend), origin, source.
SELECT DISTINCT toString(type) AS type, toString(origin) AS origin, toString(source) AS source
FROM conversion
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
UNION ALL
SELECT DISTINCT '' AS type, '' AS origin, toString(source) AS source
FROM spend
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
