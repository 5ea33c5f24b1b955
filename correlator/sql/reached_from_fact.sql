-- Every click that a conversion's own keys lead to, however far apart they lie, as known at {as_of}. Grain: (conversion, key, click).
-- Columns: fact_id, ts, lookback_ms, method_rank, precedence, click_id, hit = (click's ts, visitor, campaign, ad group, creative, keyword,
-- platform, user agent, page, variant, client, link).
-- A click is the first hit of its click ID: a second hit from another network or much later (reused_id) starts no new click. A lost hit
-- (http_status >= 400) is a click too: under parallel tracking its buyer still reaches the page.
WITH
    direct_key AS
    (
        {{keys}}
    ),
    candidate AS
    (
        SELECT key FROM direct_key WHERE space = 0
        UNION DISTINCT
        SELECT click_id FROM click WHERE visitor_id IN (SELECT key FROM direct_key WHERE space = 1)
        UNION DISTINCT
        SELECT click_id FROM click_key WHERE key IN (SELECT key FROM direct_key WHERE space = 2)
    ),
    first_hit AS
    (
        SELECT
            click_id,
            argMin(((ts, visitor_id, toString(campaign), toString(ad_group), toString(creative), toString(keyword), toString(platform),
                toString(user_agent), toString(page), toString(variant), toString(client), toString(link_id)), platform_ids),
                (ts, known_at, toString(segment), o)) AS found
        FROM click
        WHERE click_id IN (SELECT key FROM candidate) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY click_id
    )
SELECT fact_id, ts, lookback_ms, method_rank, precedence, click_id, hit
FROM direct_key
INNER JOIN
(
    SELECT click_id, found.1 AS hit, entry.1 AS space, entry.2 AS key
    FROM first_hit
    ARRAY JOIN arrayConcat([(0, click_id), (1, hit.2)], arrayMap(
        name -> (2, toFixedString(substring(SHA256(concat(name, ':', found.2[name])), 1, 16), 16)),
        arrayFilter(name -> found.2[name] != '', {shared_parameters:Array(String)}))) AS entry
) AS clicked ON clicked.space = direct_key.space AND clicked.key = direct_key.key
