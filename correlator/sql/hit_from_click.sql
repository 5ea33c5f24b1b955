-- Every hit that carries a click ID, as known at {as_of}, with the words that its behaviour earned it, unless {judged} is 0: words are given
-- by what came since, and given anew, so none belongs to a moment of the past. Grain: hit.
-- Columns: as selected, times in ms, IDs as lower-case hex.
SELECT
    toUnixTimestamp64Milli(ts) AS ts, toUnixTimestamp64Milli(known_at) AS known_at, lower(hex(hit_id)) AS hit_id,
    toString(slug) AS slug, toString(domain) AS domain, toString(link_id) AS link_id, link_version, http_status, toString(reason) AS reason,
    duration_us, toString(page) AS page, toString(variant) AS variant, routing, toString(client) AS client, toString(platform) AS platform,
    toString(campaign) AS campaign, toString(ad_group) AS ad_group, toString(creative) AS creative, toString(keyword) AS keyword,
    if(visitor_id = toFixedString('', 16), '', lower(hex(visitor_id))) AS visitor_id, toString(click.user_agent) AS user_agent,
    toString(agent.device) AS device, toString(agent.browser) AS browser, toString(network) AS network,
    lower(hex(network_hash)) AS network_hash, toString(referrer_host) AS referrer_host, parallel, bot_signals, judged.flags AS behaviour,
    mapKeys(platform_ids) AS platform_id_names
FROM click
LEFT ANY JOIN (SELECT user_agent, device, browser FROM user_agent_dim FINAL) AS agent ON agent.user_agent = click.user_agent
LEFT ANY JOIN
(
    SELECT segment, o, flags
    FROM hit_flag FINAL
    WHERE {judged:UInt8}
        AND (segment, o) IN (SELECT segment, o FROM click WHERE click_id = unhex({click_id:String}))
) AS judged ON judged.segment = click.segment AND judged.o = click.o
WHERE click_id = unhex({click_id:String}) AND click.known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY click.ts, click.known_at, click.segment, click.o
LIMIT 1000
