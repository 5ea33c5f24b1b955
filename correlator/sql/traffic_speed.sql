-- Conversions that came faster than the fastest person: after the click (too_fast), or the form after its beginning (form_too_fast).
-- Grain: (conversion, flag). Columns: window, fact_id, ts, flag, observed (s), usual (the limit, s).
-- A conversion before its click (clocks differ) says nothing.
SELECT window, fact_id, ts, entry.1 AS flag, toFloat32(entry.2 / 1000) AS observed, toFloat32(entry.3 / 1000) AS usual
FROM traffic_conversion
ARRAY JOIN [
    ('too_fast', delay_ms, {fastest_conversion_ms:Int64}), ('form_too_fast', form_ms, {fastest_form_ms:Int64})] AS entry
WHERE entry.2 >= 0 AND entry.2 < entry.3
