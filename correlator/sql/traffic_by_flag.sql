-- Hits and clicks of a period and how many carry which word. Grain: (campaign, bucket); buckets of {grain_ms} begin at {since}.
-- Columns: campaign, bucket (ms), owner_client, hits, clicks, flagged_hits, flagged_clicks, hits_by_flag, clicks_by_flag (each [words, counts]).
-- Every hit counts, flagged or not; one with two words counts under both.
SELECT
    campaign,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    max(hit.client) AS owner_client,
    count() AS hits,
    countIf(starts) AS clicks,
    countIf(notEmpty(flags)) AS flagged_hits,
    countIf(starts AND notEmpty(flags)) AS flagged_clicks,
    sumMap(flags, arrayMap(flag -> toUInt64(1), flags)) AS hits_by_flag,
    sumMapIf(flags, arrayMap(flag -> toUInt64(1), flags), starts) AS clicks_by_flag
FROM ({{hits}}) AS hit
GROUP BY campaign, bucket
