-- Click-level proof: of the clicks in [{start}, {end}) whose traces were seen, how many converted, by whether a trace failed or waited.
-- Grain: failed x slow. Columns: failed, slow, clicks, converted.
SELECT s.failed AS failed, s.slow AS slow, count() AS clicks, countIf(s.click_id IN (
        SELECT click_id FROM conversion_match FINAL
        WHERE click_ts >= fromUnixTimestamp64Milli({start:Int64} - 3600000, 'UTC') AND method != 'none'
            AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
    )) AS converted
FROM
(
    SELECT
        click_id,
        max(status = 'error' OR http_status >= 500) AS failed,
        max(duration_us > transform(concat(service, '|', route), {routes:Array(String)}, {bounds_us:Array(Int64)}, toInt64(9e15))) AS slow
    FROM span
    WHERE ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    GROUP BY click_id
) AS s
GROUP BY failed, slow
