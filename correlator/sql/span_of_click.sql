-- Spans of the click's traces, as known at {as_of}. Grain: span. Columns: as selected, times in ms, IDs as lower-case hex, '' = none.
SELECT
    toUnixTimestamp64Milli(span.ts) AS ts, lower(hex(trace_id)) AS trace_id, lower(hex(span_id)) AS span_id,
    if(parent_span_id = toFixedString('', 8), '', lower(hex(parent_span_id))) AS parent_span_id, toString(service) AS service,
    toString(name) AS name, toString(route) AS route, toString(version) AS version, toString(kind_of) AS kind_of, toString(status) AS status,
    http_status, error, duration_us
FROM span
WHERE click_id = unhex({click_id:String}) AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY span.ts, span_id
LIMIT 5000
