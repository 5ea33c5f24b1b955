-- What the platforms charged in a period, as known at {as_of}, complete buckets only. Grain: (campaign, value, bucket, currency).
-- `value` is what the platform tells it for in the dimension that is asked for (correlator/dimensions.py), '' = it does not; by campaign it is
-- the campaign. Columns: campaign, value, bucket (ms), currency, cost_micros, platform_clicks, impressions, platform_conversions, restated_at (ms, 0 = never).
-- In {reporting} at the rate of the day (UTC) that the bucket's middle lies in; without such a rate, in the platform's own currency.
-- A platform's bucket is spread evenly over the parts of it: cumulative amounts are rounded down, so the parts sum to the bucket exactly.
WITH
    piece AS
    (
        SELECT
            spend.campaign AS campaign,
            toString({{value}}) AS value,
            if(factor > 0, {reporting:String}, toString(spend.currency)) AS paid_in,
            if(factor > 0, toInt64(round(cost_micros * factor)), cost_micros) AS paid_micros,
            clicks, impressions, platform_conversions, restated_at,
            toUnixTimestamp64Milli(spend.ts) AS begins,
            begins + toInt64(bucket_s) * 1000 AS ends,
            {{spread}}
        FROM spend_as_of(as_of={as_of:Int64}) AS spend
        {{reported_of_spend}}
        {{rate_of_spend}}
        -- The campaign here, too: outside the join it would not reach the table's order.
        WHERE ({campaign:String} = '' OR spend.campaign = {campaign:String})
            AND spend.ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
            -- No platform reports in buckets longer than a month.
            AND spend.ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 31 DAY
            AND spend.ts + toIntervalSecond(bucket_s) > fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND spend.ts + toIntervalSecond(bucket_s) <= reported_through
    )
SELECT
    toString(campaign) AS campaign,
    value,
    {since:Int64} + toInt64(part) * {grain_ms:Int64} AS bucket,
    paid_in AS currency,
    toInt64(sum(intDiv(toInt128(paid_micros) * (part_ends - begins), ends - begins)
        - intDiv(toInt128(paid_micros) * (part_begins - begins), ends - begins))) AS cost_micros,
    sum(clicks * (part_ends - part_begins) / (ends - begins)) AS platform_clicks,
    sum(impressions * (part_ends - part_begins) / (ends - begins)) AS impressions,
    sum(platform_conversions * (part_ends - part_begins) / (ends - begins)) AS platform_conversions,
    max(toUnixTimestamp64Milli(restated_at)) AS restated_at
FROM piece
WHERE {{visible_campaign}}
GROUP BY campaign, value, bucket, currency
