-- Incidents that were open at some time in the period, as known at {as_of}. Grain: incident. Columns: incident_id, state, onset, opened, closed,
-- known_at (all ms), verdict, scope, payload (JSON).
SELECT
    incident_id,
    toString(newest.1) AS state,
    toUnixTimestamp64Milli(newest.2) AS onset,
    toUnixTimestamp64Milli(newest.3) AS opened,
    toUnixTimestamp64Milli(newest.4) AS closed,
    toUnixTimestamp64Milli(newest.5) AS known_at,
    toString(newest.6) AS verdict,
    newest.7 AS scope,
    newest.8 AS payload
FROM
(
    SELECT incident_id, argMax((state, onset, opened, closed, known_at, verdict, CAST(scope, 'Map(String, String)'), payload),
        (known_at, toString(segment), o)) AS newest
    FROM incident
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
        AND ({incident_id:String} = '' OR incident_id = {incident_id:String})
    GROUP BY incident_id
)
WHERE opened < {until:Int64} AND (state != 'closed' OR closed >= {since:Int64})
ORDER BY opened DESC, incident_id
