-- Conversions that were matched or changed after the place ({matched_at}, {fact_id}), oldest first, and happened at {since} or later.
-- Grain: conversion (fact_id). Columns: fact_id, matched_ms.
SELECT fact_id, toUnixTimestamp64Milli(max(matched_at) AS newest) AS matched_ms
FROM conversion_match
WHERE matched_at >= fromUnixTimestamp64Milli({matched_at:Int64}, 'UTC')
    AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND type IN {types:Array(String)}
GROUP BY fact_id
HAVING (matched_ms, fact_id) > ({matched_at:Int64}, {fact_id:String})
ORDER BY matched_ms, fact_id
LIMIT {rows:UInt32}
