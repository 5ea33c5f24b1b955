-- Matches as the last tick left them, from {since} on. Grain: conversion (fact_id). Columns: those of conversion_match.
SELECT * FROM conversion_match FINAL
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - toIntervalMillisecond({skew_ms:Int64})
