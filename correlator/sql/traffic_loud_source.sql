-- Networks, addresses and user agents that stand out in a window, before their past is looked at: candidates of traffic_burst and
-- traffic_same_agent. Grain: (window, campaign, flag, source). Columns: those of traffic_loud.
-- A network (/24, /48) or address: {burst_clicks} hits, one in a hundred of the campaign's, {burst_factor} times the mean of its other sources.
-- A user agent: {burst_clicks} clicks over ten networks, one in twenty of the campaign's, and hardly ever on the page where the others land (the
-- test of traffic_no_landing; where nobody lands it is left to its past).
WITH
    counted AS
    (
        SELECT window, campaign, 'network_burst' AS flag, toString(network) AS source, count() AS hits
        FROM traffic_hit WHERE campaign != '' AND network != ''
        GROUP BY window, campaign, network
        UNION ALL
        SELECT window, campaign, 'address_burst', lower(hex(network_hash)), count()
        FROM traffic_hit WHERE campaign != '' AND network_hash != toFixedString('', 8)
        GROUP BY window, campaign, network_hash
    ),
    whole AS (SELECT window, campaign, flag, sum(hits) AS total, count() AS sources FROM counted GROUP BY window, campaign, flag),
    agent AS
    (
        SELECT
            window, campaign, user_agent, clicks, networks, landed,
            sum(clicks) OVER (PARTITION BY window, campaign) AS total,
            sum(landed) OVER (PARTITION BY window, campaign) AS all_landed
        FROM
        (
            SELECT window, campaign, user_agent, count() AS clicks, uniq(network) AS networks, countIf(traffic_hit.landed) AS landed
            FROM traffic_hit WHERE campaign != ''
            GROUP BY window, campaign, user_agent
        )
    )
SELECT window, campaign, flag, source, hits, total, (total - hits) / greatest(sources - 1, 1) AS others
FROM (SELECT * FROM counted WHERE hits >= {burst_clicks:Int64}) AS loud
INNER JOIN whole USING (window, campaign, flag)
WHERE hits * 100 >= total AND hits > {burst_factor:Float64} * others
UNION ALL
SELECT window, campaign, 'same_agent', source, clicks, total, 0
FROM
(
    SELECT
        window, campaign, toString(user_agent) AS source, clicks, networks, total, all_landed, landed / clicks AS share,
        (all_landed - landed) / greatest(total - clicks, 1) AS other_share,
        clicks * (if(share > 0, share * log(share / other_share), 0) + (1 - share) * log((1 - share) / (1 - least(other_share, 0.999)))) AS nats
    FROM agent
    WHERE user_agent != '' AND clicks >= {burst_clicks:Int64} AND clicks * 20 >= total
)
WHERE networks >= 10 AND (all_landed = 0 OR (share < other_share / 2 AND nats > 13.8))
