-- How much imported history there is, to notice an import that is under way. Grain: one row. Columns: clicks, conversions.
SELECT
    (SELECT count() FROM click WHERE claimed) AS clicks,
    (SELECT countIf(claimed) FROM conversion_match) AS conversions
