-- Conversions of a period by who told them, and why those without a click have none. Grain: (origin, source, type, reason).
-- Columns: origin, source, type, reason ('' = a click was found), conversions.
-- Every system's count stands for itself, whoever the catalogue believes; neither rejected nor duplicate, as in credits.
SELECT toString(origin) AS origin, toString(source) AS source, toString(type) AS type,
    if(method = 'none', told.reason, '') AS reason, count() AS conversions
FROM (SELECT fact_id, origin, source, type, method FROM ({{matches}}) AS match
    WHERE {{period}} AND status NOT IN ('rejected', 'duplicate') AND {{visible}}) AS counted
LEFT ANY JOIN ({{reasons}}) AS told ON told.fact_id = counted.fact_id
GROUP BY origin, source, type, reason
ORDER BY origin, source, type, reason
