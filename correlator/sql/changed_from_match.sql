-- Freshly computed matches that differ from what conversion_match holds. Grain: conversion (fact_id).
-- Columns: those of conversion_match, matched_at last.
SELECT fresh.*, fromUnixTimestamp64Milli({now:Int64}, 'UTC') AS matched_at
FROM ({{matches}}) AS fresh
LEFT ANTI JOIN
(
    SELECT fact_id, content FROM conversion_match FINAL WHERE fact_id IN (SELECT fact_id FROM matching_target)
) AS kept ON kept.fact_id = fresh.fact_id AND kept.content = fresh.content
