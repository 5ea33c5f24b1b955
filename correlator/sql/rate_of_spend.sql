-- A join, not a query: what one unit of each row of `spend` is worth in {reporting} on the day (UTC) of its bucket's middle.
-- Grain: that of `spend`. Columns: factor (0 = no rate).
LEFT JOIN ({{factor}}) AS rate
    ON rate.sold = toString(spend.currency) AND rate.on_day = toDate(spend.ts + toIntervalSecond(intDiv(bucket_s, 2)))
