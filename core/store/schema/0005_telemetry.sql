-- What telemetry adds to the store: keys of gauges and service minutes that are read from another system, deploy markers from spans.

-- Gauges and service minutes that are read carry their natural key, so that a second read changes nothing.

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

-- deploy_as_of: change markers as known at {as_of}. Grain: marker (fact_id). A deploy that spans showed and that somebody reported, too, is
-- one: the report says more, whichever came first.
DROP VIEW IF EXISTS deploy_current;
DROP VIEW IF EXISTS deploy_as_of;
CREATE VIEW IF NOT EXISTS deploy_as_of AS
SELECT
    fact_id,
    newest.1 AS segment,
    newest.2 AS o,
    newest.3 AS known_at,
    newest.4 AS claimed,
    newest.5 AS ts,
    newest.6 AS source,
    newest.7 AS service,
    newest.8 AS version,
    newest.9 AS change,
    newest.10 AS author,
    newest.11 AS link,
    newest.12 AS description,
    first_known AS first_known_at
FROM
(
    SELECT
        fact_id,
        argMax((segment, o, known_at, claimed, ts, source, service, version, change, author, link, description),
            (known_at, toString(segment), o)) AS newest,
        min(known_at) AS first_known
    FROM deploy
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
)
WHERE NOT (
    newest.6 = 'otlp'
    AND (toString(newest.7), toString(newest.8)) IN (
        SELECT toString(service), toString(version)
        FROM deploy
        WHERE source != 'otlp' AND change = 'deploy' AND known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    )
);

CREATE VIEW IF NOT EXISTS deploy_current AS SELECT * FROM deploy_as_of(as_of=9000000000000);
