-- Currencies of the last 30 days' spend and conversions that no rate leads from to {reporting} now. Grain: currency. Columns: currency.
SELECT DISTINCT toString(currency) AS currency
FROM
(
    SELECT currency FROM spend WHERE ts >= fromUnixTimestamp64Milli({rates_since:Int64}, 'UTC') - INTERVAL 30 DAY
    UNION ALL
    SELECT currency FROM conversion WHERE ts >= fromUnixTimestamp64Milli({rates_since:Int64}, 'UTC') - INTERVAL 30 DAY
)
WHERE currency != '' AND toString(currency) NOT IN (SELECT sold FROM ({{factor}}))
ORDER BY currency
