-- Freshly judged conversions that differ from what conversion_flag holds, among them those that are flagged no more.
-- Grain: conversion (fact_id). Columns: those of conversion_flag.
SELECT
    fact_id, fresh.window AS window, fresh.ts AS ts, fresh.flags AS flags, fresh.observed AS observed, fresh.usual AS usual,
    fresh.content AS content, now64(3, 'UTC') AS judged_at
FROM
(
    SELECT
        fact_id, window, ts, arrayMap(f -> f.1, found) AS flags, arrayMap(f -> f.2, found) AS observed, arrayMap(f -> f.3, found) AS usual,
        cityHash64(window, flags, observed, usual) AS content
    FROM
    (
        SELECT
            fact_id, argMax(said.window, flag != '') AS window, argMax(said.ts, flag != '') AS ts,
            arraySort(groupArrayIf((flag, said.observed, said.usual), flag != '')) AS found
        FROM
        (
            {{flags}}
            UNION ALL
            SELECT window, fact_id, ts, '' AS flag, toFloat32(0) AS observed, toFloat32(0) AS usual
            FROM conversion_flag FINAL
            WHERE notEmpty(flags)
                AND (window IN (SELECT window FROM traffic_due WHERE kind = 'conversion') OR fact_id IN (SELECT fact_id FROM traffic_conversion))
        ) AS said
        GROUP BY fact_id
    )
) AS fresh
LEFT ANTI JOIN (SELECT fact_id, content FROM conversion_flag FINAL) AS kept ON kept.fact_id = fresh.fact_id AND kept.content = fresh.content
