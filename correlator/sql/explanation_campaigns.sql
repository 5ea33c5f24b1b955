-- What is known of every campaign. Grain: campaign. Columns: campaign, platform, account, name, client, currency, target_cpl_micros,
-- break_even_rate, margin_micros, cpc_micros, parallel_tracking.
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
    parallel_tracking
FROM campaign_current
