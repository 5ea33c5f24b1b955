-- Conversions of a network range that converts far more often than usual. Grain: (conversion, flag).
-- Columns: window, fact_id, ts, flag, observed (conversions of the network in the window), usual (conversions a window, see below).
-- As in traffic_burst: {spike_conversions} conversions, one in a hundred of the campaign's, {burst_factor} times the mean of the campaign's
-- other networks and of this network's own windows in the 24 hours before.
WITH
    busy AS MATERIALIZED
    (
        SELECT window, campaign, origin, network, conversions, (total - conversions) / greatest(networks - 1, 1) AS others
        FROM
        (
            SELECT
                window, campaign, origin, network, count() AS conversions,
                sum(conversions) OVER (PARTITION BY window, campaign, origin) AS total,
                count() OVER (PARTITION BY window, campaign, origin) AS networks
            FROM traffic_conversion
            WHERE network != ''
            GROUP BY window, campaign, origin, network
        )
        WHERE conversions >= {spike_conversions:Int64} AND conversions * 100 >= total AND conversions > {burst_factor:Float64} * others
    ),
    past AS
    (
        SELECT window, campaign, origin, network, uniqExact(fact_id) / greatest(uniqExact(intDiv(toUnixTimestamp(before.ts), {window_s:Int64})), 12) AS conversions
        FROM busy
        INNER JOIN
        (
            SELECT fact_id, ts, campaign, origin, network
            FROM
            (
                SELECT fact_id, ts, campaign, origin, click_id FROM conversion_match FINAL
                WHERE (SELECT count() FROM busy) > 0 AND campaign IN (SELECT campaign FROM busy)
                    AND ts >= (SELECT min(window) FROM busy) - 86400 AND ts < (SELECT max(window) FROM busy)
            ) AS sale
            INNER JOIN
            (
                SELECT DISTINCT click_id, network FROM click WHERE (SELECT count() FROM busy) > 0 AND network IN (SELECT network FROM busy)
            ) AS hit ON hit.click_id = sale.click_id
        ) AS before USING (campaign, origin, network)
        WHERE before.ts >= busy.window - 86400 AND before.ts < busy.window
        GROUP BY window, campaign, origin, network
    )
SELECT window, fact_id, ts, 'network_spike' AS flag, toFloat32(conversions) AS observed, toFloat32(usual) AS usual
FROM traffic_conversion
INNER JOIN
(
    SELECT window, campaign, origin, network, busy.conversions AS conversions, greatest(others, past.conversions) AS usual
    FROM busy
    LEFT JOIN past USING (window, campaign, origin, network)
    WHERE conversions > {burst_factor:Float64} * usual
) AS spike USING (window, campaign, origin, network)
