-- Freshly judged hits that differ from what hit_flag holds, among them those that are flagged no more. Grain: hit (window, segment, o).
-- Columns: those of hit_flag.
SELECT
    window, segment, o, fresh.ts AS ts, fresh.flags AS flags, fresh.observed AS observed, fresh.usual AS usual, fresh.content AS content,
    now64(3, 'UTC') AS judged_at
FROM
(
    SELECT
        window, segment, o, ts, arrayMap(f -> f.1, found) AS flags, arrayMap(f -> f.2, found) AS observed,
        arrayMap(f -> f.3, found) AS usual, cityHash64(flags, observed, usual) AS content
    FROM
    (
        SELECT window, segment, o, any(said.ts) AS ts, arraySort(groupArrayIf((flag, said.observed, said.usual), flag != '')) AS found
        FROM
        (
            {{flags}}
            UNION ALL
            SELECT window, segment, o, ts, '' AS flag, toFloat32(0) AS observed, toFloat32(0) AS usual
            FROM hit_flag FINAL
            WHERE window IN (SELECT window FROM traffic_due WHERE kind = 'hit') AND notEmpty(flags)
        ) AS said
        GROUP BY window, segment, o
    )
) AS fresh
LEFT ANTI JOIN
(
    SELECT window, segment, o, content FROM hit_flag FINAL WHERE window IN (SELECT window FROM traffic_due WHERE kind = 'hit')
) AS kept ON kept.window = fresh.window AND kept.segment = fresh.segment AND kept.o = fresh.o AND kept.content = fresh.content
