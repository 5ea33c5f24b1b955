-- What stands in the place of named_click where no click waits for a platform to name its campaign: a table, not a query.
-- Grain: hit. Columns: those of click.
click
