-- A condition, not a query: a conversion of the period [{since}, {until}) belongs to the row's click.
click_id IN (
    SELECT click_id FROM conversion_match FINAL
    WHERE method != 'none' AND ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC'))
