-- Networks of hits loaded since {since} (0: of all) that were not looked up in the present lists {lists}, and known ones from older lists.
-- Grain: network. Columns: network.
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
    SELECT network FROM network_dim
)
WHERE network != '' AND toString(network) NOT IN (SELECT network FROM network_dim FINAL WHERE lists = {lists:String})
