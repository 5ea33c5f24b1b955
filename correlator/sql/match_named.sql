-- Matches whose click came without a campaign get the one that the platform says it belongs to, as known at {as_of}.
-- Grain: conversion (fact_id). Columns: those of conversion_match. For reports only: detection counts what was known when it happened.
SELECT
    match.* REPLACE
    (
        if(match.campaign = '', toLowCardinality(named.said.1), match.campaign) AS campaign,
        if(match.campaign = '', toLowCardinality(named.said.2), match.ad_group) AS ad_group,
        if(match.campaign = '', toLowCardinality(named.said.3), match.creative) AS creative,
        if(match.campaign = '' AND named.said.1 != '', toLowCardinality(named.said.4), match.platform) AS platform
    )
FROM ({{matches}}) AS match
ANY LEFT JOIN
(
    SELECT
        click_id,
        argMax((toString(campaign), toString(ad_group), toString(creative), toString(platform)), (known_at, toString(segment), o)) AS said
    FROM platform_click
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        -- Not those of conversion_match: what is matched now says nothing of what was matched at {as_of}.
        AND click_id IN (SELECT click_id FROM click WHERE campaign = '')
    GROUP BY click_id
) AS named ON named.click_id = match.click_id
