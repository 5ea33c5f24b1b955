-- Conversions with any version at or after {since}, known at {as_of}. Grain: conversion (fact_id). Columns: fact_id.
SELECT DISTINCT fact_id
FROM conversion
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - toIntervalMillisecond({skew_ms:Int64})
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
