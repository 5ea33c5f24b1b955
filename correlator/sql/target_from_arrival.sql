-- The conversions that must be matched again because of what was loaded since {since}.
-- Grain: conversion (fact_id), possibly repeated. Columns: fact_id.
-- Three ways in: a new version of the conversion itself; a new click that happened at or before the conversion (plus the tolerated skew),
-- which may be a better match than the present one; and any conversion that shares an order, CRM, e-mail or phone key with those.
WITH
    (
        -- Without a new click: never.
        SELECT if(count() = 0, toDateTime64('2299-12-31 00:00:00', 3, 'UTC'), min(ts_first) - toIntervalMillisecond({skew_ms:Int64}))
        FROM arrival
        WHERE kind = 'click' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ) AS clicked,
    told AS
    (
        SELECT segment, o_first, o_last
        FROM arrival
        WHERE kind = 'conversion' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ),
    changed AS
    (
        SELECT conversion.fact_id AS fact_id
        FROM conversion
        INNER JOIN told ON told.segment = conversion.segment
        WHERE conversion.segment IN (SELECT segment FROM told) AND conversion.o BETWEEN told.o_first AND told.o_last
        UNION DISTINCT
        SELECT fact_id FROM conversion WHERE ts >= clicked
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
