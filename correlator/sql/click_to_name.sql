-- Whether any click came without a campaign while a platform has named clicks: only then must names be looked up. Grain: one row.
-- Columns: waiting (0 or 1). Names and clicks are only ever added, so 0 holds for every moment of the past, too.
SELECT
    (SELECT count() FROM (SELECT 1 FROM platform_click LIMIT 1)) AND (SELECT count() FROM (SELECT 1 FROM click WHERE campaign = '' LIMIT 1)) AS waiting
