-- Networks of hits loaded since {since} (0: of all) that were not looked up in the present lists {lists}, and known ones from older lists.
-- Grain: network. Columns: network.
SELECT toString(network) AS network
FROM ({{loaded}} UNION DISTINCT SELECT network FROM network_dim)
WHERE network != '' AND toString(network) NOT IN (SELECT network FROM network_dim FINAL WHERE lists = {lists:String})
