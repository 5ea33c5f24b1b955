-- Click IDs that more than one hit carries, among those loaded since {since}. Grain: click ID. Columns: click_id.
-- Without new rows the span is the epoch, where nothing lies.
WITH
    (
        SELECT (min(ts_first), max(ts_last))
        FROM arrival
        WHERE kind = 'click' AND loaded_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    ) AS span
SELECT click_id
FROM click
WHERE click_id IN (SELECT click_id FROM click WHERE ts BETWEEN span.1 AND span.2)
GROUP BY click_id
HAVING count() > 1 AND click_id NOT IN (SELECT click_id FROM repeated_click)
