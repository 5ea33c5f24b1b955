-- What stands in the place of rate_of_spend and rate_of_match when there is no reporting currency: nothing is converted, and planning it costs nothing.
-- A join, not a query. Grain: that of the rows it stands at. Columns: factor (0).
ARRAY JOIN [0.] AS factor
