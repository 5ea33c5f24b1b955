-- Hits with the campaign that the platform says their click is of, where they came without one. Grain: hit. Of the unnamed ones, only what was
-- clicked in [{since}, {until}) is looked up, as known at {as_of}: they lie together in the table, and are few.
-- Columns: as selected, those of click.
(
    SELECT
        campaign, ad_group, creative, keyword, page, variant, platform, client, click_id, ts, known_at, segment, o, http_status, bot_signals,
        user_agent, network
    FROM click
    WHERE campaign != ''
    UNION ALL
    SELECT
        toLowCardinality(named.said.1) AS campaign,
        if(named.said.3 = '', ad_group, toLowCardinality(named.said.3)) AS ad_group,
        if(named.said.4 = '', creative, toLowCardinality(named.said.4)) AS creative,
        keyword, page, variant, if(named.said.2 = '', platform, toLowCardinality(named.said.2)) AS platform, client, click_id, ts, known_at,
        segment, o, http_status, bot_signals, user_agent, network
    FROM (SELECT * FROM click WHERE campaign = '') AS unnamed
    ANY LEFT JOIN
    (
        SELECT
            click_id,
            argMax((toString(campaign), toString(platform), toString(ad_group), toString(creative)), (known_at, toString(segment), o)) AS said
        FROM platform_click
        WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND click_id IN
        (
            SELECT click_id
            FROM click
            WHERE campaign = '' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
        )
        GROUP BY click_id
    ) AS named ON named.click_id = unnamed.click_id
)
