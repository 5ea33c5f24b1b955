-- A join, not a query: up to where the platform has told its campaign's cost, of each row of `hit`. Grain: that of `hit`.
-- Columns: reported_through (1970 = nothing).
LEFT JOIN ({{reported}}) AS reported ON reported.campaign = hit.campaign
