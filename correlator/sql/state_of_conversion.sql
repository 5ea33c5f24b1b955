-- Every state that the conversions {fact_ids} entered, as known at {as_of}. Grain: (conversion, state entered). Columns: fact_id, status,
-- ts, known_at (ms).
SELECT fact_id, toString(status) AS status, toUnixTimestamp64Milli(ts) AS ts, toUnixTimestamp64Milli(known_at) AS known_at
FROM conversion_state_as_of(as_of={as_of:Int64}) AS entered
WHERE fact_id IN {fact_ids:Array(String)}
ORDER BY fact_id, entered.nth
