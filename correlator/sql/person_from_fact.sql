-- The visitor IDs and click IDs that belong to each target conversion's person. Grain: (conversion, space, key).
-- Columns: question, fact_id, space (0 = a click ID, 1 = a visitor ID), key.
-- A person's are those that the conversion's own keys name (direct_key_from_fact, without what many people share), and those that the own keys
-- of conversions name which share an order, CRM, e-mail or phone key with it inside one client: the phone that clicked and the computer that bought.
-- A key that leads to more than {person_keys} of them is many people's (a till, an agency's address) and joins nobody.
SELECT DISTINCT {question:UInt64} AS question, person AS fact_id, own.1 AS space, own.2 AS key
FROM
(
    SELECT groupUniqArrayIf(fact_id, is_target) AS people, groupUniqArrayArray(ids) AS known
    FROM
    (
        SELECT fact_id, is_target, client, ids, shared
        FROM ({{facts}}) AS fact
        ANY LEFT JOIN
        (
            SELECT fact_id AS told_by, groupUniqArray((toUInt8(space), key)) AS ids
            FROM ({{keys}})
            WHERE method_rank < {shared_rank:UInt8}
            GROUP BY fact_id
        ) AS told ON told.told_by = fact.fact_id
        ARRAY JOIN arrayFilter(entry -> entry.2 != '', [
            ('', fact_id), ('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)]) AS shared
    )
    GROUP BY client, shared
    HAVING notEmpty(people) AND (shared.1 = '' OR length(known) <= {person_keys:UInt32})
)
ARRAY JOIN people AS person
ARRAY JOIN known AS own
