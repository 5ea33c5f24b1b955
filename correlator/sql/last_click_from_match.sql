-- Last-click credit: the whole conversion to the campaign of its matched click. Grain: (campaign, type, currency, method); campaign '' =
-- unattributed. Columns: campaign, type, currency, method, credit (conversions), worth_micros (credited value), confidence (mean).
-- Counted once: by the type's authoritative origin, neither rejected nor duplicate, so credits sum to the conversions.
SELECT
    toString(campaign) AS campaign,
    toString(type) AS type,
    paid_in AS currency,
    toString(method) AS method,
    toFloat64(count()) AS credit,
    sum(worth) AS worth_micros,
    avg(confidence) AS mean_confidence
FROM ({{worth}})
WHERE toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
    AND status NOT IN ('rejected', 'duplicate')
GROUP BY campaign, type, paid_in, method
ORDER BY campaign, type, paid_in, method
