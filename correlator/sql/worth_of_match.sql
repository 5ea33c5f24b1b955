-- The period's conversions with what each is worth by the catalogue. Grain: conversion (fact_id).
-- Columns: those of the matches, came_back, paid_in (currency), worth (micros of it).
-- What was returned or refunded is worth nothing. In {reporting} at the rate of the day (UTC) it happened; without such a rate, in its own.
WITH
    transform(toString(type), {types:Array(String)}, {value_sources:Array(String)}, {default_value_source:String}) AS value_source,
    transform(toString(type), {types:Array(String)}, {default_values:Array(Int64)}, {default_value:Int64}) AS catalogue_value,
    value_source = 'catalogue' OR (value_source = 'reported_or_catalogue' AND value_micros = 0) AS by_catalogue,
    status IN ('returned', 'refunded') AS came_back,
    -- The catalogue's values are in the default currency, whatever the conversion says.
    if(by_catalogue OR currency = '', {default_currency:String}, toString(currency)) AS told_in,
    multiIf(came_back, 0, by_catalogue, catalogue_value, value_micros) AS told_micros
SELECT
    match.*,
    came_back,
    if(factor > 0, {reporting:String}, told_in) AS paid_in,
    if(factor > 0, toInt64(round(told_micros * factor)), told_micros) AS worth
FROM ({{matches}}) AS match
{{rate_of_match}}
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND {{visible}}
