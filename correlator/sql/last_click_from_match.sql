-- Last-click credit: the whole conversion to the campaign of its matched click. Grain: (campaign, type, currency, method); campaign '' =
-- unattributed. Columns: campaign, type, currency, method, credit (conversions), worth_micros (credited value), confidence (mean).
-- Counted once: by the type's authoritative origin, neither rejected nor duplicate, so credits sum to the conversions.
WITH
    transform(toString(type), {types:Array(String)}, {value_sources:Array(String)}, {default_value_source:String}) AS value_source,
    transform(toString(type), {types:Array(String)}, {default_values:Array(Int64)}, {default_value:Int64}) AS catalogue_value,
    multiIf(status IN ('returned', 'refunded'), 0, value_source = 'catalogue' OR (value_source = 'reported_or_catalogue' AND value_micros = 0),
        catalogue_value, value_micros) AS worth
SELECT
    toString(campaign) AS campaign,
    toString(type) AS type,
    if(currency != '', toString(currency), {default_currency:String}) AS currency,
    toString(method) AS method,
    toFloat64(count()) AS credit,
    sum(worth) AS worth_micros,
    avg(confidence) AS mean_confidence
FROM ({{matches}}) AS match
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
    AND status NOT IN ('rejected', 'duplicate')
    AND {{visible}}
GROUP BY campaign, type, currency, method
ORDER BY campaign, type, currency, method
