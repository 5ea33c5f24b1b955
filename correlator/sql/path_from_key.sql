-- The clicks of the persons whose keys are given, out of their hits (walked_click), as known at {as_of}.
-- Grain: conversion (fact_id). Columns: fact_id, clicks (Array of (ts, click ID, client, campaign, value of the dimension), unordered).
-- A click is the first hit of its click ID. One that came without a campaign belongs to the one that the platform
-- says (as in match_named), one without a client to its campaign's. A visitor ID with more than {person_clicks} clicks is no person's.
-- Only click IDs that more than one hit carries (repeated_click) are compared with their other hits.
WITH
    found AS ({{found}}),
    repeated AS (SELECT click_id FROM repeated_click WHERE click_id IN (SELECT click_id FROM found)),
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
            one.click_id AS click_id,
            one.ts AS ts,
            one.visitor_id AS visitor_id,
            one.campaign = '' AS unnamed,
            if(unnamed, said.by_platform.1, toString(one.campaign)) AS campaign,
            if(unnamed, said.by_platform.2, toString(one.ad_group)) AS ad_group,
            if(unnamed, said.by_platform.3, toString(one.creative)) AS creative,
            toString(one.keyword) AS keyword,
            toString(one.page) AS page,
            toString(one.variant) AS variant,
            toString(one.client) AS own_client,
            toString(one.network) AS network,
            toString(one.user_agent) AS user_agent
        FROM found AS one
        ANY LEFT JOIN said ON said.click_id = one.click_id
        WHERE one.click_id NOT IN repeated OR (one.click_id, one.ts, one.known_at, toString(one.segment), one.o) IN
            (
                SELECT click_id, place.1, place.2, place.3, place.4
                FROM
                (
                    SELECT click_id, min((ts, known_at, toString(segment), o)) AS place
                    FROM click
                    WHERE click_id IN repeated AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
                    GROUP BY click_id
                )
            )
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
