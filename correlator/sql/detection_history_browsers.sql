-- Human clicks and matched steering conversions by leaf and browser, from which browser factors follow. Grain: campaign x device x page x browser.
-- Columns: campaign, device, page, browser, clicks, conversions.
SELECT campaign, device, page, browser, sum(clicks) AS clicks, sum(conversions) AS conversions
FROM
(
    SELECT toString(campaign) AS campaign, toString(device) AS device, toString(page) AS page, toString(browser) AS browser,
        uniqExact(click_id) AS clicks, toUInt64(0) AS conversions
    FROM hit
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND campaign != '' AND NOT bot AND NOT lost
    GROUP BY campaign, device, page, browser
    UNION ALL
    SELECT toString(campaign), toString(device), toString(page), toString(browser), toUInt64(0), count()
    FROM conversion_match FINAL
    WHERE click_ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND click_ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND campaign != '' AND method != 'none'
        AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
    GROUP BY campaign, device, page, browser
)
GROUP BY campaign, device, page, browser
