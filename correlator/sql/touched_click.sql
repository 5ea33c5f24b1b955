-- The clicks that browsers reported something of in a period, as known at {as_of}. Grain: click ID. Columns: click_id, campaign (its own, else the one
-- the platform says it belongs to), client, consent, known (always true: what a LEFT JOIN finds).
-- Read through the projection by click ID; a click older than the longest look-back of a cookie (90 days) is not one of them.
WITH touched AS
(
    SELECT DISTINCT click_id
    FROM touch
    WHERE name IN ('page_view', 'form_start', 'form_submit')
        AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
)
SELECT
    click_id,
    if(first.1 = '', said, first.1) AS campaign,
    first.2 AS client,
    first.3 AS consent,
    true AS known
FROM
(
    SELECT click_id, argMin((toString(campaign), toString(client), toString(consent)), (ts, known_at, toString(segment), o)) AS first
    FROM click
    WHERE click_id IN (touched) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 90 DAY
    GROUP BY click_id
) AS clicked
ANY LEFT JOIN
(
    SELECT click_id, argMax(toString(campaign), (known_at, toString(segment), o)) AS said
    FROM platform_click
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND click_id IN (touched)
    GROUP BY click_id
) AS named ON named.click_id = clicked.click_id
