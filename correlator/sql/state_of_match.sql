-- Conversions of one type in a period with what became of each, as known at {as_of}. Grain: conversion (fact_id), by the type's authoritative origin.
-- Columns: fact_id, state (counted, returned, rejected, duplicate), pending (counted, and its return window is open at {at}).
SELECT
    fact_id,
    multiIf(status IN ('rejected', 'duplicate'), toString(status), status IN ('returned', 'refunded'), 'returned', 'counted') AS state,
    state = 'counted' AND toUnixTimestamp64Milli(ts)
        + transform(toString(type), {types:Array(String)}, {return_windows_ms:Array(Int64)}, {return_window_ms:Int64}) > {at:Int64} AS pending
FROM ({{matches}}) AS match
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND toString(type) = {type:String}
    AND toString(origin) = transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String})
    AND {{visible}}
