-- Why no click was found for each of the conversions, as known at {as_of}. Grain: conversion (fact_id). Columns: fact_id, reason.
-- reason: the first of {reasons} that holds (correlator/unmatched_words.py says what each means): what came nearest to a match.
WITH
    asked AS ({{facts}}),
    reached AS ({{reached}}),
    direct AS ({{directs}}),
    keyed AS
    (
        SELECT
            fact_id, is_target, client, toUnixTimestamp64Milli(ts) AS at, entry.1 AS name, entry.2 AS key,
            transform(toString(type), {types:Array(String)}, {lookbacks_ms:Array(Int64)}, {lookback_ms:Int64}) AS lookback_ms
        FROM asked
        ARRAY JOIN arrayFilter(e -> e.2 != '', [
            ('order_id', order_id), ('crm_id', crm_id), ('email_sha256', email_sha256), ('phone_sha256', phone_sha256)]) AS entry
    ),
    found AS
    (
        SELECT fact_id, if(hit.1 > ts, 'click_later', 'click_too_old') AS reason FROM reached
        UNION ALL
        SELECT a.fact_id, multiIf(a.client != b.client, 'other_client', b.click_at > a.at, 'click_later', 'click_too_old')
        FROM (SELECT * FROM keyed WHERE is_target) AS a
        INNER JOIN
        (
            SELECT name, key, client, toUnixTimestamp64Milli(direct.best.3.1) AS click_at
            FROM keyed
            INNER JOIN direct ON direct.fact_id = keyed.fact_id
            WHERE direct.best.1 < {shared_rank:UInt8}
        ) AS b ON b.name = a.name AND b.key = a.key
        UNION ALL
        SELECT fact_id, if(space = 0, 'unknown_click', 'unseen_key') FROM ({{keys}})
        UNION ALL
        SELECT fact_id, 'unseen_key' FROM keyed
        UNION ALL
        SELECT fact_id, if(arrayExists(value -> value != '', mapValues(platform_ids)), 'unusable_key', 'no_key') FROM asked
    )
SELECT fact_id, {reasons:Array(String)}[min(indexOf({reasons:Array(String)}, reason))] AS reason
FROM found
WHERE fact_id IN (SELECT fact_id FROM asked WHERE is_target)
GROUP BY fact_id
