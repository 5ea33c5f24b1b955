-- Networks of hits loaded since {since} (0: of all) that nobody looked up the country of, and those that only another file than {database} did
-- not know. Grain: network. Columns: network.
SELECT toString(network) AS network
FROM ({{loaded}} UNION DISTINCT SELECT network FROM network_country)
WHERE network != ''
    AND toString(network) NOT IN (SELECT network FROM network_country FINAL WHERE country != '' OR database = {database:String})
