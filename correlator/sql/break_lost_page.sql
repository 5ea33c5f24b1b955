-- Pages on which the destination watch saw the click ID lost within a period, as known at {as_of}. Grain: page (url). Columns: url, campaigns.
SELECT url, groupUniqArrayArray(arrayMap(campaign -> toString(campaign), campaigns)) AS campaigns
FROM check
WHERE has(findings, 'click_id_lost')
    AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC') AND holds_until >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 7 DAY
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
GROUP BY url
ORDER BY url
