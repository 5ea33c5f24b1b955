-- Conversions that belong to the click, with what each is worth. Grain: conversion (fact_id). Columns: as selected, times in ms.
-- flags as in hit_from_click: none unless {judged}.
SELECT
    match.fact_id AS fact_id, conversion_id, toUnixTimestamp64Milli(match.ts) AS ts, toUnixTimestamp64Milli(match.known_at) AS known_at, toString(type) AS type,
    toString(status) AS status, toString(origin) AS origin, value_micros, toString(currency) AS currency, toString(method) AS method,
    confidence, duplicate_of, qualified, came_back, worth, paid_in, judged.flags AS flags
FROM ({{worth}}) AS match
LEFT ANY JOIN (SELECT fact_id, flags FROM conversion_flag FINAL WHERE {judged:UInt8}) AS judged ON judged.fact_id = match.fact_id
WHERE click_id = unhex({click_id:String})
ORDER BY match.ts, match.fact_id
