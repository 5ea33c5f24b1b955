-- The learned days in [{from_day}, {until_day}). Grain: (kind, source, origin, name, day); newest day first.
-- Columns: kind, source, origin, name, day_end (ms), learned_through (ms, the midnight that the row was learned at), ages_ms, known.
SELECT
    toString(kind) AS kind, toString(source) AS source, toString(origin) AS origin, toString(name) AS name,
    toInt64(toUnixTimestamp(toDateTime(day + 1, 'UTC'))) * 1000 AS day_end, toUnixTimestamp64Milli(through) AS learned_through, ages_ms, known
FROM known_by_age FINAL
WHERE day >= {from_day:Date} AND day < {until_day:Date}
ORDER BY kind, source, origin, name, day DESC
