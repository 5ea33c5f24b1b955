-- The conversions that must be matched again because of what was loaded since {since}.
-- Grain: conversion (fact_id), possibly repeated. Columns: fact_id.
-- Three ways in: a new version of the conversion itself; a new click that happened at or before the conversion (plus the tolerated skew),
-- which may be a better match than the present one; and any conversion that shares an order, CRM, e-mail or phone key with those.
WITH
    arrived AS
    (
        SELECT kind, segment, o_first, o_last, ts_first
        FROM arrival
        WHERE kind IN ('click', 'conversion') AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ),
    first_click AS (SELECT count() AS blocks, min(ts_first) AS ts FROM arrived WHERE kind = 'click'),
    changed AS
    (
        SELECT conversion.fact_id AS fact_id
        FROM conversion
        INNER JOIN (SELECT segment, o_first, o_last FROM arrived WHERE kind = 'conversion') AS block ON block.segment = conversion.segment
        WHERE conversion.segment IN (SELECT segment FROM arrived WHERE kind = 'conversion')
            AND conversion.o BETWEEN block.o_first AND block.o_last
        UNION DISTINCT
        SELECT fact_id
        FROM conversion
        WHERE (SELECT blocks FROM first_click) > 0
            AND ts >= (SELECT ts FROM first_click) - toIntervalMillisecond({skew_ms:Int64})
    )
SELECT fact_id FROM changed
UNION DISTINCT
SELECT fact_id
FROM conversion_key
WHERE (name, key) IN
(
    SELECT pair.1, pair.2
    FROM conversion
    ARRAY JOIN [('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)] AS pair
    WHERE fact_id IN changed AND pair.2 != ''
)
