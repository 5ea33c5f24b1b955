-- The visitors of the clicks that are among the keys given: a conversion often names its click only, the click its visitor, and the visitor the other clicks.
-- Grain: (conversion, visitor). Columns: question, fact_id, space (1), key.
SELECT DISTINCT {question:UInt64} AS question, fact_id, toUInt8(1) AS space, visitor AS key
FROM (SELECT fact_id, key FROM ({{keys}}) WHERE space = 0) AS named
INNER JOIN
(
    SELECT click_id, argMin(visitor_id, (ts, known_at, toString(segment), o)) AS visitor
    FROM click
    WHERE click_id IN (SELECT key FROM ({{keys}}) WHERE space = 0)
        AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY click_id
) AS clicked ON clicked.click_id = named.key
WHERE visitor != toFixedString('', 16)
