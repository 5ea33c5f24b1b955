-- What is known of every campaign. Grain: campaign. Columns: campaign, platform, account, name, client, currency, target_cpl_micros,
-- break_even_rate, margin_micros, cpc_micros, parallel_tracking, cpc_basis, stated_in (see campaign_facts.sql).
SELECT
    toString(campaign) AS campaign,
    toString(platform) AS platform,
    toString(account) AS account,
    name,
    toString(client) AS client,
    toString(currency) AS currency,
    target_cpl_micros,
    break_even_rate,
    margin_micros,
    cpc_micros,
    parallel_tracking,
    cpc_basis,
    stated_in
FROM campaign_current
LEFT JOIN campaign_stated_as_of(as_of=9000000000000) AS stated USING (campaign)
ORDER BY campaign
