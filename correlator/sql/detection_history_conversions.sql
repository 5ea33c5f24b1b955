-- Steering conversions by leaf and hour of their click, with the delays behind them. Grain: campaign x device x page x hour x
-- type x delay bin x age bin (two bins to an octave from half a second; the age is the click's at {now}).
-- Columns: campaign, device, page, type, hour, delay_bin, age_bin, conversions.
SELECT
    toString(campaign) AS campaign,
    toString(device) AS device,
    toString(page) AS page,
    toString(type) AS type,
    intDiv(toUnixTimestamp64Milli(click_ts), 3600000) AS hour,
    toInt32(ceil(2 * log2(greatest(toUnixTimestamp64Milli(ts) - toUnixTimestamp64Milli(click_ts), 500) / 500))) AS delay_bin,
    toInt32(floor(2 * log2(greatest({now:Int64} - toUnixTimestamp64Milli(click_ts), 500) / 500))) AS age_bin,
    count() AS conversions
FROM conversion_match FINAL
WHERE click_ts >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND click_ts < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND campaign != '' AND method != 'none'
    AND type IN {types:Array(String)} AND origin = {origin:String} AND status NOT IN ('rejected', 'duplicate')
    AND NOT arrayExists(i -> toUnixTimestamp64Milli(click_ts) BETWEEN i.1 AND i.2, {excluded:Array(Tuple(Int64, Int64))})
GROUP BY campaign, device, page, type, hour, delay_bin, age_bin
