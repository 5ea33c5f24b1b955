-- The hits of the persons whose keys are given, whenever they happened inside [{paths_since}, {paths_until}), as known at {as_of}, bots (as in the
-- view hit) left out. Grain: hit. Columns: those named, of click.
-- The rows lie all over the table: of each column that is named, most blocks are read. So only those that the question needs are named, once.
SELECT {{columns}}
FROM click
WHERE visitor_id IN (SELECT key FROM ({{keys}}) WHERE space = 1)
    AND ts >= fromUnixTimestamp64Milli({paths_since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({paths_until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    AND empty(arrayFilter(signal -> signal != 'no_accept', bot_signals))
    AND user_agent NOT IN (SELECT user_agent FROM user_agent_dim WHERE bot)
UNION ALL
-- Clicks without a visitor are the person's by their own ID alone, all others came above.
SELECT {{columns}}
FROM click
WHERE visitor_id = toFixedString('', 16) AND click_id IN (SELECT key FROM ({{keys}}) WHERE space = 0)
    AND ts >= fromUnixTimestamp64Milli({paths_since:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({paths_until:Int64}, 'UTC')
    AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    AND empty(arrayFilter(signal -> signal != 'no_accept', bot_signals))
    AND user_agent NOT IN (SELECT user_agent FROM user_agent_dim WHERE bot)
