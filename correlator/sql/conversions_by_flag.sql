-- Conversions of a period and how many carry which word. Grain: (campaign, bucket); campaign '' = unattributed.
-- Columns: campaign, bucket (ms), owner_client, conversions, flagged_conversions, conversions_by_flag ([words, counts]).
-- All conversions count once per origin that reported them, whatever their status; the catalogue's rules are /roi's.
SELECT
    toString(campaign) AS campaign,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    max(toString(match.client)) AS owner_client,
    count() AS conversions,
    countIf(notEmpty(words)) AS flagged_conversions,
    sumMap(words, arrayMap(word -> toUInt64(1), words)) AS conversions_by_flag
FROM
(
    SELECT
        campaign, client, ts,
        arrayConcat(
            if(click_id IN (SELECT click_id FROM ({{hits}}) WHERE starts AND notEmpty(arrayFilter(flag -> NOT has({weak:Array(String)}, flag), flags))),
                ['flagged_click'], []),
            arrayMap(flag -> toString(flag), judged.flags)) AS words
    FROM (SELECT * FROM conversion_match FINAL WHERE {{period}} AND {{visible}}) AS matched
    LEFT ANY JOIN (SELECT fact_id, flags FROM conversion_flag FINAL WHERE notEmpty(flags)) AS judged ON judged.fact_id = matched.fact_id
) AS match
GROUP BY campaign, bucket
