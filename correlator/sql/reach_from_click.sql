-- Clicks that had their chance to convert, by whether we could follow them, as known at {as_of}. Grain: (campaign, shown).
-- Columns: campaign, shown (the question may see it), and of each group the clicks and those of them that a conversion was matched to: seen
-- (a page view came from the landing page), declined (consent refused: nothing of ours is kept there), unseen (neither); unattributed = all of the
-- period's conversions that found no click, of any campaign, on every row.
-- Bots and hits that got no redirect are in no group. A page view counts from a minute before the click on, as with parallel tracking.
WITH
    counted AS
    (
        SELECT click_id, method
        FROM ({{matches}}) AS match
        WHERE has({steering:Array(String)}, type) AND status NOT IN ('rejected', 'duplicate')
            AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
            AND if(method = 'none', ts, click_ts) >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND if(method = 'none', ts, click_ts) < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    )
SELECT
    toString(campaign) AS campaign,
    shown,
    uniqExactIf(click_id, place = 'seen') AS seen,
    uniqExactIf(click_id, place = 'seen' AND sold) AS seen_sold,
    uniqExactIf(click_id, place = 'declined') AS declined,
    uniqExactIf(click_id, place = 'declined' AND sold) AS declined_sold,
    uniqExactIf(click_id, place = 'unseen') AS unseen,
    uniqExactIf(click_id, place = 'unseen' AND sold) AS unseen_sold,
    (SELECT countIf(method = 'none') FROM counted) AS unattributed
FROM
(
    SELECT
        click.campaign AS campaign,
        click_id,
        {{visible}} AS shown,
        multiIf(consent IN ('no', 'gpc'), 'declined', click_id IN (
            SELECT click_id
            FROM touch
            WHERE name = 'page_view' AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
                AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 1 MINUTE
                AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC') + INTERVAL 1 HOUR), 'seen', 'unseen') AS place,
        click_id IN (SELECT click_id FROM counted WHERE method != 'none') AS sold
    FROM click
    WHERE {{period}} AND ts < fromUnixTimestamp64Milli({mature_before:Int64}, 'UTC')
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        AND http_status < 400 AND empty(bot_signals) AND user_agent NOT IN (SELECT user_agent FROM user_agent_dim WHERE bot)
)
GROUP BY campaign, shown
ORDER BY campaign
