-- The clicks of the persons whose keys are given, whenever they happened inside [{paths_since}, {paths_until}), as known at {as_of}.
-- Grain: conversion (fact_id). Columns: fact_id, clicks (Array of (ts, click ID, client, campaign, value of the dimension), unordered).
-- A click is the first hit of its click ID, and no bot's (as in the view hit). One that came without a campaign belongs to the one that the platform
-- says (as in match_named), one without a client to its campaign's. A visitor ID with more than {person_clicks} clicks is no person's.
WITH
    first_hit AS
    (
        SELECT
            click_id,
            argMin((ts, visitor_id, toString(campaign), toString(ad_group), toString(creative), toString(keyword), toString(page), toString(variant),
                toString(client), toString(network), toString(user_agent), notEmpty(arrayFilter(signal -> signal != 'no_accept', bot_signals))),
                (ts, known_at, toString(segment), o)) AS first
        FROM click
        WHERE click_id IN
            (
                SELECT key FROM ({{keys}}) WHERE space = 0
                UNION DISTINCT
                SELECT click_id
                FROM click
                WHERE visitor_id IN (SELECT key FROM ({{keys}}) WHERE space = 1)
                    AND ts >= fromUnixTimestamp64Milli({paths_since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({paths_until:Int64}, 'UTC')
            )
            AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY click_id
        HAVING first.1 >= fromUnixTimestamp64Milli({paths_since:Int64}, 'UTC') AND first.1 < fromUnixTimestamp64Milli({paths_until:Int64}, 'UTC')
    ),
    said AS
    (
        SELECT click_id, argMax((toString(campaign), toString(ad_group), toString(creative)), (known_at, toString(segment), o)) AS by_platform
        FROM platform_click
        WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC') AND click_id IN
        (
            SELECT click_id
            FROM click
            WHERE campaign = ''
                AND ts >= fromUnixTimestamp64Milli({paths_since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({paths_until:Int64}, 'UTC')
        )
        GROUP BY click_id
    ),
    hit AS
    (
        SELECT
            click_id,
            first.1 AS ts,
            first.2 AS visitor_id,
            first.3 = '' AS unnamed,
            if(unnamed, by_platform.1, first.3) AS campaign,
            if(unnamed, by_platform.2, first.4) AS ad_group,
            if(unnamed, by_platform.3, first.5) AS creative,
            first.6 AS keyword,
            first.7 AS page,
            first.8 AS variant,
            first.9 AS own_client,
            first.10 AS network,
            first.11 AS user_agent
        FROM first_hit
        ANY LEFT JOIN said USING (click_id)
        WHERE NOT first.12 AND user_agent NOT IN (SELECT user_agent FROM user_agent_dim WHERE bot)
    ),
    trodden AS
    (
        SELECT entry.1 AS space, entry.2 AS key, groupArray((clicked_at, id, client, named, told)) AS clicks
        FROM
        (
            SELECT
                hit.ts AS clicked_at,
                hit.click_id AS id,
                hit.visitor_id AS visitor,
                hit.campaign AS named,
                if(hit.own_client = '', belongs.owner, hit.own_client) AS client,
                toString({{hit_value}}) AS told
            FROM hit
            {{hit_lookup}}
            ANY LEFT JOIN ({{owners}}) AS belongs ON belongs.owned = hit.campaign
        )
        ARRAY JOIN arrayFilter(e -> e.2 != toFixedString('', 16), [(toUInt8(0), id), (toUInt8(1), visitor)]) AS entry
        GROUP BY space, key
        HAVING length(clicks) <= {person_clicks:UInt32}
    )
SELECT fact_id, arrayDistinct(groupArrayArray(clicks)) AS clicks
FROM (SELECT DISTINCT fact_id, space, key FROM ({{keys}})) AS reached
INNER JOIN trodden USING (space, key)
GROUP BY fact_id
