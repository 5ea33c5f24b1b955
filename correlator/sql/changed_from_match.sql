-- Freshly computed matches that differ from what conversion_match holds. Grain: conversion (fact_id).
-- Columns: those of conversion_match, matched_at last: later than the row it replaces, even when this machine's clock went back.
SELECT fresh.*, greatest(fromUnixTimestamp64Milli({now:Int64}, 'UTC'), kept.matched_at + INTERVAL 1 MILLISECOND) AS matched_at
FROM ({{matches}}) AS fresh
LEFT ANY JOIN
(
    SELECT fact_id, content, matched_at FROM conversion_match FINAL WHERE fact_id IN (SELECT fact_id FROM matching_target)
) AS kept ON kept.fact_id = fresh.fact_id
WHERE kept.fact_id = '' OR kept.content != fresh.content
