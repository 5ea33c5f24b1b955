-- Hits of a network (/24, /48) or of an address that clicks far more often than usual. Grain: (hit, flag).
-- Columns: window, segment, o, ts, flag, observed (clicks of the source in the window), usual (clicks a window, see below).
-- Of the sources in traffic_loud, those with {burst_clicks} clicks and {burst_factor} times the usual, the larger of two means: of the
-- campaign's other sources in this window, and of this source in the windows of the 24 hours before in which it clicked, of which it is granted
-- 12 (a carrier's or an office's network is always busy, a first burst makes no second one usual; addresses are hashed anew every day and have
-- at most that day's past). Repeated hits of one click are one click.
WITH
    loud_hit AS MATERIALIZED
    (
        SELECT window, segment, o, ts, click_id, campaign, entry.1 AS flag, entry.2 AS source
        FROM traffic_hit
        ARRAY JOIN [('network_burst', toString(network)), ('address_burst', lower(hex(network_hash)))] AS entry
        WHERE (window, campaign, entry.1, entry.2) IN (SELECT window, campaign, flag, source FROM traffic_loud)
    ),
    past AS
    (
        SELECT window, campaign, flag, source, uniqExact(click_id) / greatest(uniqExact(intDiv(toUnixTimestamp(before.ts), {window_s:Int64})), 12) AS clicks
        FROM traffic_loud
        INNER JOIN
        (
            SELECT campaign, ts, click_id, entry.1 AS flag, entry.2 AS source
            FROM click
            ARRAY JOIN [('network_burst', toString(network)), ('address_burst', lower(hex(network_hash)))] AS entry
            WHERE campaign IN (SELECT campaign FROM traffic_loud)
                AND ts >= (SELECT min(window) FROM traffic_loud) - 86400 AND ts < (SELECT max(window) FROM traffic_loud)
                AND (campaign, entry.1, entry.2) IN (SELECT campaign, flag, source FROM traffic_loud)
        ) AS before USING (campaign, flag, source)
        WHERE before.ts >= traffic_loud.window - 86400 AND before.ts < traffic_loud.window
        GROUP BY window, campaign, flag, source
    )
SELECT window, segment, o, ts, flag, toFloat32(clicks) AS observed, toFloat32(usual) AS usual
FROM loud_hit
INNER JOIN
(
    SELECT window, campaign, flag, source, seen.clicks AS clicks, greatest(others, past.clicks) AS usual
    FROM traffic_loud
    INNER JOIN (SELECT window, campaign, flag, source, uniqExact(click_id) AS clicks FROM loud_hit GROUP BY window, campaign, flag, source) AS seen
        USING (window, campaign, flag, source)
    LEFT JOIN past USING (window, campaign, flag, source)
    WHERE clicks >= {burst_clicks:Int64} AND clicks > {burst_factor:Float64} * usual
) AS burst USING (window, campaign, flag, source)
