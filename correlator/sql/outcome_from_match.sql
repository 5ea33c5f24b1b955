-- Conversions of a period by the catalogue's rules. Grain: (campaign, value, bucket, type, currency); campaign '' = unattributed.
-- Columns: campaign, value (in the dimension that is asked for), bucket (ms), type, currency, owner_client, conversions, unvalued, qualified, worth_micros, believed_micros, margin_micros, duplicates,
-- settled_conversions, settled_micros, settled_returned, open_windows, restated_at (ms, 0 = never).
-- Counted once: by the type's authoritative origin, neither rejected nor duplicate.
-- Unvalued: counted, and nobody said what it is worth, neither its record nor the catalogue; what came back is worth nothing for a reason.
-- Settled: confirmed, and the type's return window has closed by {at}.
WITH
    transform(toString(type), {types:Array(String)}, {origins:Array(String)}, {default_origin:String}) AS believed_origin,
    transform(toString(type), {types:Array(String)}, {beliefs:Array(Float64)}, {default_belief:Float64}) AS belief,
    transform(toString(type), {types:Array(String)}, {margin_rates:Array(Float64)}, {default_margin_rate:Float64}) AS margin_rate,
    transform(toString(type), {types:Array(String)}, {return_windows_ms:Array(Int64)}, {return_window_ms:Int64}) AS window_ms,
    toString(origin) = believed_origin AND status NOT IN ('rejected', 'duplicate') AS counted,
    toUnixTimestamp64Milli(ts) + window_ms <= {at:Int64} AS closed
SELECT
    toString(campaign) AS campaign,
    toString({{value}}) AS value,
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(type) AS type,
    paid_in AS currency,
    toString(max(client)) AS owner_client,
    countIf(counted) AS conversions,
    countIf(counted AND worth = 0 AND NOT came_back) AS unvalued,
    countIf(counted AND match.qualified) AS qualified,
    sumIf(worth, counted) AS worth_micros,
    toInt64(sumIf(round(worth * belief), counted)) AS believed_micros,
    toInt64(sumIf(round(worth * margin_rate), counted)) AS margin_micros,
    countIf(status = 'duplicate' AND toString(origin) = believed_origin) AS duplicates,
    countIf(counted AND closed AND status = 'confirmed') AS settled_conversions,
    sumIf(worth, counted AND closed AND status = 'confirmed') AS settled_micros,
    countIf(counted AND closed AND came_back) AS settled_returned,
    countIf(counted AND NOT closed) AS open_windows,
    maxIf(toUnixTimestamp64Milli(known_at), known_at > ts + toIntervalMillisecond({late_ms:Int64})) AS restated_at
FROM ({{worth}}) AS match
{{lookup}}
GROUP BY campaign, value, bucket, type, paid_in
-- In one order for whoever takes the first: the client of an unattributed row.
ORDER BY ALL
