-- Conversions of one type and origin that repeat the same person, order or value in a burst. Grain: (conversion, flag).
-- Columns: window, fact_id, ts, flag, observed (how often in the window), usual (1 for a person; for a value what its share elsewhere lets
-- expect).
-- repeated_identity: {repeated_conversions} with an equal order, CRM, e-mail or phone key of one client. repeated_value: {spike_conversions} of
-- one campaign with the same value from the same network, {burst_factor} times what the share of that value among the campaign's other networks
-- lets expect: a shop may have a single price.
WITH
    person AS
    (
        SELECT window, fact_id, ts, count() OVER (PARTITION BY window, client, type, origin, pair) AS times
        FROM traffic_conversion
        ARRAY JOIN keys AS pair
    ),
    price AS
    (
        SELECT
            window, fact_id, ts,
            count() OVER (PARTITION BY window, campaign, type, origin, network, value_micros, currency) AS times,
            count() OVER (PARTITION BY window, campaign, type, origin, network) AS here,
            count() OVER (PARTITION BY window, campaign, type, origin, value_micros, currency) AS same,
            count() OVER (PARTITION BY window, campaign, type, origin) AS total
        FROM traffic_conversion
        WHERE network != '' AND value_micros != 0
    )
SELECT window, fact_id, any(ts) AS ts, 'repeated_identity' AS flag, toFloat32(max(times)) AS observed, toFloat32(1) AS usual
FROM person
WHERE times >= {repeated_conversions:Int64}
GROUP BY window, fact_id
UNION ALL
SELECT window, fact_id, ts, 'repeated_value' AS flag, toFloat32(times) AS observed, toFloat32(here * (same - times) / (total - here)) AS usual
FROM price
WHERE times >= {spike_conversions:Int64} AND total > here AND times > {burst_factor:Float64} * usual
