-- Networks of hits loaded since {since} (0: of all) that nobody looked up the country of, and those that only another file than {database} did
-- not know. Grain: network. Columns: network.
WITH block AS
(
    SELECT count() AS blocks, min(ts_first) AS ts_first, max(ts_last) AS ts_last
    FROM arrival
    WHERE kind = 'click' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
)
SELECT toString(network) AS network
FROM
(
    SELECT network FROM click
    WHERE {since:Int64} = 0 OR (SELECT blocks FROM block) > 0 AND ts BETWEEN (SELECT ts_first FROM block) AND (SELECT ts_last FROM block)
    UNION DISTINCT
    SELECT network FROM network_country
)
WHERE network != ''
    AND toString(network) NOT IN (SELECT network FROM network_country FINAL WHERE country != '' OR database = {database:String})
