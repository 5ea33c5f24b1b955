-- Which moments the daily reconciliation has worked for, the newest first. Grain: run (known_by). Columns: due (ms).
SELECT DISTINCT toUnixTimestamp64Milli(known_by) AS due
FROM reconciliation_run
WHERE known_by >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
ORDER BY due DESC
