-- What one unit of a currency is worth in {reporting} ('' = nothing is converted), day by day, as known at {as_of}.
-- Grain: (sold, on_day). Columns: sold (currency), on_day (UTC), factor. A day without a rate has no row.
SELECT currency AS sold, day AS on_day, factor
FROM factor_of_day(reporting={reporting:String}, as_of={as_of:Int64}, since={rates_since:Int64}, until={rates_until:Int64},
    rate_age_days={rate_age_days:Int64})
