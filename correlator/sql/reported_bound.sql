-- What stands in the place of reported_of_spend and reported_of_hit where that was asked before, of the one campaign {campaign}.
-- A join, not a query. Grain: that of the rows it stands at. Columns: reported_through.
ARRAY JOIN [fromUnixTimestamp64Milli({reported_through:Int64}, 'UTC')] AS reported_through
