-- A join, not a query: the country of each row of `match`, by the network of the click that it belongs to. Grain: that of `match`.
-- Columns: network_country ('' = unknown, or without a click).
LEFT ANY JOIN
(
    SELECT click_id AS landed, argMin(network_country, (ts, known_at, toString(segment), o)) AS network_country
    FROM
    (
        SELECT click_id, network, ts, known_at, segment, o
        FROM click
        WHERE click_id IN (SELECT click_id FROM ({{matches}}) AS matched) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    ) AS hit
    LEFT ANY JOIN (SELECT network AS raw_network, toString(country) AS network_country FROM network_country FINAL) AS land
        ON land.raw_network = toString(hit.network)
    GROUP BY click_id
) AS landing ON landing.landed = match.click_id
