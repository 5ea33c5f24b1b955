-- Conversions of a period that make customers, by whether the person was one before. Grain: (campaign, value, bucket).
-- Columns: campaign, value (in the dimension that is asked for), bucket (ms), new_customers, known_customers, unknown_customers.
-- A person is who shares a CRM ID, a hashed e-mail or telephone number inside one client; without any of them nobody can say who it was.
-- Counted once: by the type's authoritative origin, neither rejected nor duplicate. As known at {as_of}, with all of the kept history.
WITH
    bought AS
    (
        SELECT fact_id, ts, client, pair.1 AS name, pair.2 AS key
        FROM conversion_as_of(as_of={as_of:Int64})
        ARRAY JOIN arrayFilter(named -> named.2 != '', [('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)]) AS pair
        WHERE has({customer_types:Array(String)}, type)
            AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
            AND status NOT IN ('rejected', 'duplicate')
            AND fact_id IN
            (
                SELECT fact_id
                FROM conversion_key
                WHERE (name, key) IN
                (
                    SELECT named.1, named.2
                    FROM conversion
                    ARRAY JOIN [('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)] AS named
                    WHERE named.2 != '' AND has({customer_types:Array(String)}, type)
                        AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
                        -- Of one campaign, only its own persons are looked up.
                        AND ({campaign:String} = '' OR fact_id IN (SELECT fact_id FROM ({{matches}}) AS match WHERE campaign = {campaign:String}))
                )
            )
    ),
    person AS
    (
        SELECT fact_id, max(later) AS before
        FROM (SELECT fact_id, (ts, fact_id) > min((ts, fact_id)) OVER (PARTITION BY client, name, key) AS later FROM bought)
        GROUP BY fact_id
    )
SELECT
    toString(campaign) AS campaign,
    toString({{value}}) AS value,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    countIf(person.fact_id != '' AND NOT before) AS new_customers,
    countIf(person.fact_id != '' AND before) AS known_customers,
    countIf(person.fact_id = '') AS unknown_customers
FROM ({{matches}}) AS match
{{lookup}}
LEFT ANY JOIN person ON person.fact_id = match.fact_id
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND has({customer_types:Array(String)}, type)
    AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
    AND status NOT IN ('rejected', 'duplicate')
    AND {{visible}}
GROUP BY campaign, value, bucket
