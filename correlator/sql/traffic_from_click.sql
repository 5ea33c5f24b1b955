-- Hits and clicks of a period, as known at {as_of}. Grain: (campaign, value, bucket); buckets of {grain_ms} begin at {since}.
-- `value` is the hit's in the dimension that is asked for (correlator/dimensions.py); by campaign it is the campaign.
-- Columns: campaign, value, bucket (ms), platform, client, hits, clicks, lost_hits, bot_clicks, mature_clicks, unreported_clicks, late_known_at (ms, 0 =
-- nothing came late).
-- A click is the first hit of its click ID. Bots are counted apart (as in the view hit). mature_clicks are older than {mature_before}, unreported_clicks later
-- than what the platform has told the cost of. A click that came without a campaign is its whose the platform says it is (platform_click).
WITH
    first_hit AS
    (
        SELECT click_id, min((ts, known_at, toString(segment), o)) AS place
        FROM click
        WHERE click_id IN (SELECT click_id FROM repeated_click) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        GROUP BY click_id
    ),
    hit_in_period AS
    (
        SELECT
            campaign,
            toString({{value}}) AS value,
            platform,
            client,
            ts,
            known_at,
            http_status >= 400 AS lost,
            (click_id NOT IN (SELECT click_id FROM repeated_click)
                OR (click_id, (ts, known_at, toString(segment), o)) IN (SELECT click_id, place FROM first_hit)) AS starts,
            notEmpty(arrayFilter(signal -> signal != 'no_accept', bot_signals)) OR user_agent IN (SELECT user_agent FROM user_agent_dim WHERE bot) AS bot
        FROM {{hits}} AS hit
        {{lookup}}
        WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
            AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
            AND {{visible}}
    )
SELECT
    toString(hit.campaign) AS campaign,
    value,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(max(platform)) AS platform,
    toString(max(client)) AS client,
    count() AS hits,
    countIf(starts AND NOT bot) AS clicks,
    countIf(lost) AS lost_hits,
    countIf(starts AND bot) AS bot_clicks,
    countIf(starts AND NOT bot AND ts < fromUnixTimestamp64Milli({mature_before:Int64}, 'UTC')) AS mature_clicks,
    countIf(starts AND NOT bot AND ts >= reported_through) AS unreported_clicks,
    maxIf(toUnixTimestamp64Milli(known_at), known_at > ts + toIntervalMillisecond({late_ms:Int64})) AS late_known_at
FROM hit_in_period AS hit
{{reported_of_hit}}
GROUP BY campaign, value, bucket
