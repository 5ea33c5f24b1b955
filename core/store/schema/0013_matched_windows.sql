-- A conversion that is matched, or matched anew, may lie in a window that nothing else arrived for: the insert itself marks it, so that no mark is
-- lost by a death after the match, and none is set twice.
CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_window_of_matches TO traffic_window AS
SELECT
    'conversion' AS kind, toDateTime(intDiv(toUnixTimestamp(ts), 600) * 600, 'UTC') AS window, now64(3, 'UTC') AS counted_at
FROM conversion_match
GROUP BY window;
