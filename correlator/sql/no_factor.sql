-- What stands in the place of factor_of_period when there is no reporting currency: nothing is converted, and planning it costs nothing.
-- Grain: none, it has no row. Columns: those of factor_of_period.
SELECT '' AS sold, toDate(0) AS on_day, 0. AS factor WHERE 0
