-- A join, not a query: the country of each row of `hit`, by its truncated network. Grain: that of `hit`. Columns: network_country ('' = unknown).
LEFT ANY JOIN (SELECT network AS raw_network, toString(country) AS network_country FROM network_country FINAL) AS land
    ON land.raw_network = toString(hit.network)
