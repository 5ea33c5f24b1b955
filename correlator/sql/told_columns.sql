-- Columns of a query, not a query: what a day's facts came to at each age, as far as the day is old enough by {through}, at most {settles_ms}
-- after its end; 0 at older ages, so that a row depends on its own day only. Grain: (source, origin, name, day).
-- Columns: ages_ms, known, through.
{ages_ms:Array(Int64)} AS ages_ms,
arrayMap((age, amount) -> if(age <= told_for, amount, 0.), {ages_ms:Array(Int64)}, amounts) AS known,
fromUnixTimestamp64Milli(day_end + told_for, 'UTC') AS through,
toInt64(toUnixTimestamp(toDateTime(day + 1, 'UTC'))) * 1000 AS day_end,
least({through:Int64} - day_end, {settles_ms:Int64}) AS told_for
