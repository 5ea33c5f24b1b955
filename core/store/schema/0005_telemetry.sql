-- Gauges and service minutes that are read from another system carry their natural key, so that a second read changes nothing.

ALTER TABLE gauge ADD COLUMN IF NOT EXISTS fact_id String CODEC(ZSTD) AFTER attributes;
ALTER TABLE inbox_gauge ADD COLUMN IF NOT EXISTS fact_id String AFTER attributes;
DROP VIEW IF EXISTS gauge_from_journal;
CREATE MATERIALIZED VIEW IF NOT EXISTS gauge_from_journal TO gauge AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    service,
    name,
    value,
    attributes,
    fact_id
FROM inbox_gauge;

-- gauge_current: every reading that was pushed, and of those that were read from another system the newest version. Grain: reading.
-- Columns: ts, known_at, source, service, name, value, attributes.
CREATE VIEW IF NOT EXISTS gauge_current AS
SELECT ts, known_at, source, service, name, value, attributes
FROM gauge
WHERE fact_id = ''
UNION ALL
SELECT ts, known_at, source, service, name, value, attributes
FROM
(
    SELECT *
    FROM gauge
    WHERE fact_id != ''
    ORDER BY known_at DESC, segment DESC, o DESC
    LIMIT 1 BY fact_id
);

ALTER TABLE service ADD COLUMN IF NOT EXISTS fact_id String CODEC(ZSTD) AFTER device;
ALTER TABLE inbox_service ADD COLUMN IF NOT EXISTS fact_id String AFTER device;
DROP VIEW IF EXISTS service_from_journal;
CREATE MATERIALIZED VIEW IF NOT EXISTS service_from_journal TO service AS
SELECT
    getSetting('log_comment') AS segment,
    o,
    fromUnixTimestamp64Milli(known_at, 'UTC') AS known_at,
    claimed,
    fromUnixTimestamp64Milli(ts, 'UTC') AS ts,
    source,
    service,
    route,
    version,
    requests,
    errors,
    buckets,
    duration_sum_s,
    device,
    fact_id
FROM inbox_service;
