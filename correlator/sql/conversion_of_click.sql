-- Conversions that belong to the click. Grain: conversion (fact_id). Columns: as selected, times in ms.
SELECT
    fact_id, conversion_id, toUnixTimestamp64Milli(match.ts) AS ts, toUnixTimestamp64Milli(match.known_at) AS known_at, toString(type) AS type,
    toString(status) AS status, toString(origin) AS origin, value_micros, toString(currency) AS currency, toString(method) AS method,
    confidence, duplicate_of
FROM ({{matches}}) AS match
WHERE click_id = unhex({click_id:String})
ORDER BY match.ts, fact_id
