-- How every source did when its reader told of it last, as known at {as_of}. Grain: source.
-- Columns: source, reading (state word), detail, findings, details, last_success (ms), next_attempt (ms), documented_lag_s, quota_unit, quota_used, quota_limit, quota_resets_at (ms), told_at (ms).
SELECT
    toString(source) AS source,
    toString(state) AS reading,
    detail,
    findings,
    details,
    toUnixTimestamp64Milli(last_success) AS last_success,
    toUnixTimestamp64Milli(next_attempt) AS next_attempt,
    documented_lag_s,
    toString(quota_unit) AS quota_unit,
    quota_used,
    quota_limit,
    toUnixTimestamp64Milli(quota_resets_at) AS quota_resets_at,
    toUnixTimestamp64Milli(known_at) AS told_at
FROM reading
WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, segment DESC, o DESC
LIMIT 1 BY source
