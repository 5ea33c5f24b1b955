-- Conversions of a period by the catalogue's rules. Grain: (campaign, bucket, type, currency); campaign '' = unattributed.
-- Columns: campaign, bucket (ms), type, currency, owner_client, conversions, worth_micros, believed_micros, margin_micros, duplicates,
-- settled_conversions, settled_micros, settled_returned, open_windows, restated_at (ms, 0 = never).
-- Counted once: by the type's authoritative origin, neither rejected nor duplicate.
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
    {since:Int64} + intDiv(toUnixTimestamp64Milli(ts) - {since:Int64}, {grain_ms:Int64}) * {grain_ms:Int64} AS bucket,
    toString(type) AS type,
    paid_in AS currency,
    toString(any(client)) AS owner_client,
    countIf(counted) AS conversions,
    sumIf(worth, counted) AS worth_micros,
    toInt64(sumIf(round(worth * belief), counted)) AS believed_micros,
    toInt64(sumIf(round(worth * margin_rate), counted)) AS margin_micros,
    countIf(status = 'duplicate' AND toString(origin) = believed_origin) AS duplicates,
    countIf(counted AND closed AND status = 'confirmed') AS settled_conversions,
    sumIf(worth, counted AND closed AND status = 'confirmed') AS settled_micros,
    countIf(counted AND closed AND came_back) AS settled_returned,
    countIf(counted AND NOT closed) AS open_windows,
    maxIf(toUnixTimestamp64Milli(known_at), known_at > ts + toIntervalMillisecond({late_ms:Int64})) AS restated_at
FROM ({{worth}})
GROUP BY campaign, bucket, type, paid_in
