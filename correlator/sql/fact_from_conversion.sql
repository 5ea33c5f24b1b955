-- The target conversions and all that share an order, CRM, e-mail or phone key with one, as known at {as_of}.
-- Grain: conversion (fact_id). Columns: those of matching_fact; is_target tells the two apart.
WITH
    target AS ({{targets}}),
    related AS
    (
        SELECT fact_id FROM target
        UNION DISTINCT
        SELECT fact_id
        FROM conversion_key
        WHERE (name, key) IN
        (
            SELECT pair.1, pair.2
            FROM conversion
            ARRAY JOIN [('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)] AS pair
            WHERE fact_id IN target AND pair.2 != ''
        )
    ),
    transform(toString(type), {types:Array(String)}, {qualified_attributes:Array(String)}, {qualified_attribute:String}) AS told_by
SELECT
    fact_id,
    fact_id IN target AS is_target,
    conversion_id,
    -- When the newest change was learned: an equal version repeated later is none.
    greatest(restated_at, first_known_at) AS changed_at,
    claimed,
    ts,
    type,
    status,
    origin,
    value_micros,
    currency,
    click_id,
    platform_ids,
    visitor_id,
    order_id,
    crm_id,
    email_sha256,
    phone_sha256,
    client,
    page,
    user_agent,
    restated_at,
    source,
    -- The catalogue's rule: by status, or by what the sender says in an attribute, and never what was refused or came back.
    status NOT IN ('rejected', 'duplicate', 'returned', 'refunded')
        AND (has(splitByChar('\n', transform(toString(type), {types:Array(String)}, {qualified_statuses:Array(String)}, {qualified_status:String})), toString(status))
            OR (told_by != '' AND has(
                splitByChar('\n', transform(toString(type), {types:Array(String)}, {qualified_values:Array(String)}, {qualified_value:String})),
                attributes[told_by]))) AS qualified
FROM conversion_as_of(as_of={as_of:Int64})
WHERE fact_id IN related
