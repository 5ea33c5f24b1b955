-- Conversions of the due windows with who, from where, how fast. Grain: conversion (fact_id). Columns: those of traffic_conversion.
-- network: of the matched click's first hit. form_ms: from the last form_start to the form_submit that follows it, both reported for the
-- matched click, within the hour before the conversion or five minutes after.
WITH
    matched AS MATERIALIZED
    (
        SELECT
            toDateTime(intDiv(toUnixTimestamp(ts), {window_s:Int64}) * {window_s:Int64}, 'UTC') AS window,
            fact_id, ts, type, origin, value_micros, currency, campaign, client, click_id, click_ts, method
        FROM conversion_match FINAL
        WHERE window IN (SELECT window FROM traffic_due WHERE kind = 'conversion')
    ),
    first_hit AS
    (
        SELECT click_id, toString(argMin(network, (ts, known_at, toString(segment), o))) AS network
        FROM click
        WHERE click_id IN (SELECT click_id FROM matched WHERE method != 'none')
        GROUP BY click_id
    ),
    form AS
    (
        SELECT fact_id, max((submitted, submitted - started)) AS last
        FROM
        (
            SELECT
                matched.fact_id AS fact_id, toUnixTimestamp64Milli(touch.ts) AS submitted, touch.name AS name,
                maxIf(toUnixTimestamp64Milli(touch.ts), touch.name = 'form_start') OVER (
                    PARTITION BY matched.fact_id ORDER BY touch.ts, touch.name ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS started
            FROM matched
            INNER JOIN
            (
                SELECT click_id, ts, name FROM touch
                WHERE name IN ('form_start', 'form_submit') AND click_id != toFixedString('', 16)
                    AND click_id IN (SELECT click_id FROM matched WHERE method != 'none')
            ) AS touch ON touch.click_id = matched.click_id
            WHERE touch.ts BETWEEN matched.ts - INTERVAL 1 HOUR AND matched.ts + INTERVAL 5 MINUTE
        )
        WHERE name = 'form_submit' AND started > 0
        GROUP BY fact_id
    ),
    named AS
    (
        SELECT fact_id, groupUniqArrayArray(arrayFilter(pair -> pair.2 != '', [
            ('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)])) AS keys
        FROM conversion
        WHERE fact_id IN (SELECT fact_id FROM matched)
        GROUP BY fact_id
    )
SELECT
    window, matched.fact_id AS fact_id, ts, type, origin, value_micros, currency, campaign, client,
    first_hit.network AS network, named.keys AS keys,
    if(method != 'none', toUnixTimestamp64Milli(ts) - toUnixTimestamp64Milli(click_ts), -1) AS delay_ms,
    if(form.fact_id != '', form.last.2, -1) AS form_ms
FROM matched
LEFT JOIN first_hit ON first_hit.click_id = matched.click_id AND matched.method != 'none'
LEFT JOIN form ON form.fact_id = matched.fact_id
LEFT JOIN named ON named.fact_id = matched.fact_id
