-- Every hit that carries a click ID, as known at {as_of}. Grain: hit. Columns: as selected, times in ms, IDs as lower-case hex; segment and o, its place.
-- Without joins: what else is known of a hit is asked by its place, once that is known (hit_judged, agent_of_hit).
SELECT
    toUnixTimestamp64Milli(ts) AS ts, toUnixTimestamp64Milli(known_at) AS known_at, lower(hex(hit_id)) AS hit_id,
    toString(slug) AS slug, toString(domain) AS domain, toString(link_id) AS link_id, link_version, http_status, toString(reason) AS reason,
    duration_us, toString(page) AS page, toString(variant) AS variant, routing, toString(client) AS client, toString(platform) AS platform,
    toString(campaign) AS campaign, toString(ad_group) AS ad_group, toString(creative) AS creative, toString(keyword) AS keyword,
    if(visitor_id = toFixedString('', 16), '', lower(hex(visitor_id))) AS visitor_id, toString(user_agent) AS user_agent,
    toString(network) AS network, lower(hex(network_hash)) AS network_hash, toString(referrer_host) AS referrer_host, parallel, bot_signals,
    mapKeys(platform_ids) AS platform_id_names, toString(segment) AS segment, o
FROM click
WHERE click_id = unhex({click_id:String}) AND click.known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY click.ts, click.known_at, click.segment, click.o
LIMIT 1000
