-- A join, not a query: what one unit of each row of `match` is worth in {reporting} on the day (UTC) it happened.
-- Grain: that of `match`. Columns: factor (0 = no rate).
LEFT JOIN ({{factor}}) AS rate ON rate.sold = told_in AND rate.on_day = toDate(match.ts)
