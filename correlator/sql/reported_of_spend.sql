-- A join, not a query: up to where the platform has told its campaign's cost, of each row of `spend`. Grain: that of `spend`, of campaigns with spend.
-- Columns: reported_through.
INNER JOIN ({{reported}}) AS reported ON reported.campaign = spend.campaign
