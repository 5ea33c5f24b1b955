-- A condition, not a query: the row's event time lies in [{since}, {until}).
ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
