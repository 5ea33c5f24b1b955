-- How many clicks reached each step on the site. Grain: (campaign, bucket, touch name). Columns: campaign ('' = a click of no campaign, or none
-- that we know), bucket (ms), name, clicks (distinct click IDs). A click that came without a campaign is its whose the platform says it is.
WITH
    reached AS
    (
        SELECT
            {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
            toString(name) AS name,
            click_id
        FROM touch
        WHERE name IN ('page_view', 'form_start', 'form_submit')
            AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
            AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            AND click_id != toFixedString('', 16)
        GROUP BY bucket, name, click_id
    ),
    clicked AS ({{touched}})
SELECT campaign, bucket, name, count() AS clicks
FROM
(
    SELECT bucket, name, clicked.campaign AS campaign, clicked.client AS client, clicked.known AS known
    FROM reached
    ANY LEFT JOIN clicked ON clicked.click_id = reached.click_id
)
WHERE (known OR ({campaign:String} = '' AND empty({clients:Array(String)}))) AND {{visible}}
GROUP BY campaign, bucket, name
ORDER BY campaign, bucket, name
