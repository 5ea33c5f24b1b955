-- Hits with all words that flag them, on the spot, by lists and by behaviour. Grain: hit. Columns: campaign, client, ts, click_id, starts, flags.
-- `which` is a condition on click; {lists} names the present data-centre lists ('' = none). A click starts with the first hit of its ID.
WITH
    first_hit AS
    (
        SELECT click_id, argMin((toString(network), network_hash, ts), (ts, known_at, toString(segment), o)) AS first,
            min((ts, known_at, toString(segment), o)) AS place
        FROM click
        WHERE click_id IN (SELECT click_id FROM repeated_click)
            AND click_id IN (SELECT click_id FROM click WHERE {{which}})
        GROUP BY click_id
    )
SELECT
    toString(click.campaign) AS campaign, toString(click.client) AS client, click.ts AS ts, click.click_id AS click_id,
    first_hit.first.3 = toDateTime64(0, 3, 'UTC') OR (click.ts, click.known_at, toString(click.segment), click.o) = first_hit.place AS starts,
    arrayDistinct(arrayConcat(
        arrayMap(signal -> toString(signal), click.bot_signals),
        if(click.user_agent IN (SELECT user_agent FROM user_agent_dim WHERE bot), ['crawler'], []),
        if(click.network IN (SELECT network FROM network_dim FINAL WHERE datacenter AND lists = {lists:String}), ['datacenter'], []),
        if(NOT starts AND (toString(click.network) != first_hit.first.1 OR click.network_hash != first_hit.first.2
            OR click.ts > first_hit.first.3 + INTERVAL 30 MINUTE), ['reused_id'], []),
        arrayMap(flag -> toString(flag), judged.flags))) AS flags
FROM (SELECT * FROM click WHERE {{which}}) AS click
LEFT ANY JOIN first_hit ON first_hit.click_id = click.click_id
LEFT ANY JOIN (SELECT segment, o, flags FROM hit_flag FINAL WHERE notEmpty(flags) AND {{judged}}) AS judged
    ON judged.segment = click.segment AND judged.o = click.o
