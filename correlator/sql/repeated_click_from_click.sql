-- Click IDs that more than one hit carries, among those loaded since {since}. Grain: click ID. Columns: click_id.
WITH block AS
(
    SELECT count() AS blocks, min(ts_first) AS ts_first, max(ts_last) AS ts_last
    FROM arrival
    WHERE kind = 'click' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
)
SELECT click_id
FROM click
WHERE click_id IN
(
    SELECT click_id FROM click
    WHERE (SELECT blocks FROM block) > 0 AND ts BETWEEN (SELECT ts_first FROM block) AND (SELECT ts_last FROM block)
)
GROUP BY click_id
HAVING count() > 1 AND click_id NOT IN (SELECT click_id FROM repeated_click)
