-- What the click's browser reported, as known at {as_of}. Grain: touch. Columns: ts (ms), name, page, session_id, value, duration_ms, attributes.
SELECT toUnixTimestamp64Milli(touch.ts) AS ts, toString(name) AS name, toString(page) AS page, session_id, value, duration_ms,
    CAST(attributes, 'Map(String, String)') AS attributes
FROM touch
WHERE click_id = unhex({click_id:String}) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY touch.ts, segment, o
LIMIT 1000
