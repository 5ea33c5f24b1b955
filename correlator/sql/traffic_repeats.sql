-- Conversions of one type and origin that repeat the same person, order or value in a burst. Grain: (conversion, flag).
-- Columns: window, fact_id, ts, flag, observed (how often in the window), usual (1).
-- repeated_identity: {repeated_conversions} with an equal order, CRM, e-mail or phone key of one client. repeated_value: {spike_conversions} of
-- one campaign with the same value from the same network, and one in a hundred of its conversions (a shop may have a single price).
WITH repeated AS MATERIALIZED
(
    SELECT
        window, fact_id, ts, entry.1 AS flag, count() OVER (PARTITION BY window, type, origin, entry) AS times,
        count() OVER (PARTITION BY window, campaign, type, origin, entry.1) AS total
    FROM traffic_conversion
    ARRAY JOIN arrayConcat(
        arrayMap(pair -> ('repeated_identity', toString(client), pair.1, pair.2), keys),
        if(network = '' OR value_micros = 0, [], [('repeated_value', toString(campaign), toString(network), concat(toString(value_micros), currency))])) AS entry
)
SELECT window, fact_id, any(ts) AS ts, flag, toFloat32(max(times)) AS observed, toFloat32(1) AS usual
FROM repeated
WHERE if(flag = 'repeated_identity', times >= {repeated_conversions:Int64}, times >= {spike_conversions:Int64} AND times * 100 >= total)
GROUP BY window, fact_id, flag
