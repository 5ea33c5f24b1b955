-- Every incident's newest version that opened after {start}. Grain: incident. Columns: incident_id, state, onset, closed (ms), verdict, scope, payload.
SELECT
    incident_id,
    toString(state) AS state,
    toUnixTimestamp64Milli(onset) AS onset,
    toUnixTimestamp64Milli(opened) AS opened,
    toUnixTimestamp64Milli(closed) AS closed,
    toString(verdict) AS verdict,
    scope,
    payload
FROM incident_current
WHERE opened >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
ORDER BY opened
