-- Conversions with a version that happened in [{since}, {until}), known at {as_of}. Grain: conversion (fact_id). Columns: fact_id.
SELECT DISTINCT fact_id
FROM conversion
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
