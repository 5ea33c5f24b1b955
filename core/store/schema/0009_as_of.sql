-- What was known at a moment of the past: `<kind>_as_of` for the kinds that have none elsewhere, and where an answer works its matches out.

-- conversion_state_as_of: the life of every conversion, state by state, as known at {as_of}. Grain: (conversion, state entered).
-- A state repeated without another in between is entered once; ts is when it was entered by the first version that said so, known_at when that
-- was learned, nth counts from 1. Columns: fact_id, nth, status, ts, known_at.
CREATE VIEW IF NOT EXISTS conversion_state_as_of AS
SELECT
    fact_id,
    nth,
    entered.4 AS status,
    entered.5 AS ts,
    entered.1 AS known_at
FROM
(
    SELECT
        fact_id,
        arrayCompact(version -> version.4, arraySort(groupArray((known_at, toString(segment), o, toString(status), ts)))) AS states
    FROM conversion
    WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
    GROUP BY fact_id
)
ARRAY JOIN states AS entered, arrayEnumerate(states) AS nth;

-- Kinds that are told once, as known at {as_of}: a line that was learned later is not there. Grain: that of the table.
CREATE VIEW IF NOT EXISTS click_as_of AS SELECT * FROM click WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS touch_as_of AS SELECT * FROM touch WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS span_as_of AS SELECT * FROM span WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS check_as_of AS SELECT * FROM check WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');
CREATE VIEW IF NOT EXISTS canary_as_of AS SELECT * FROM canary WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC');

-- Kinds whose newest line speaks for a name, as known at {as_of}. Grain: source.
CREATE VIEW IF NOT EXISTS watermark_as_of AS
SELECT * FROM watermark WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY source;

CREATE VIEW IF NOT EXISTS reading_as_of AS
SELECT * FROM reading WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY source;

-- Kinds with versions, as known at {as_of}: the newest known_at of a fact. Grain: fact (fact_id); incident: incident_id.
CREATE VIEW IF NOT EXISTS impression_as_of AS
SELECT * FROM impression WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS platform_click_as_of AS
SELECT * FROM platform_click WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS rate_as_of AS
SELECT * FROM rate WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS upload_as_of AS
SELECT * FROM upload WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS baseline_as_of AS
SELECT * FROM baseline WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS decision_as_of AS
SELECT * FROM decision WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY fact_id;

CREATE VIEW IF NOT EXISTS incident_as_of AS
SELECT * FROM incident WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC LIMIT 1 BY incident_id;

-- Kinds of which some lines have versions (read from another system, fact_id says which) and the rest is told once. Grain: that of the table.
CREATE VIEW IF NOT EXISTS gauge_as_of AS
SELECT * FROM gauge WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC
LIMIT 1 BY if(fact_id = '', concat(toString(segment), ':', toString(o)), fact_id);

CREATE VIEW IF NOT EXISTS service_as_of AS
SELECT * FROM service WHERE known_at <= fromUnixTimestamp64Milli({as_of:Int64}, 'UTC')
ORDER BY known_at DESC, toString(segment) DESC, o DESC
LIMIT 1 BY if(fact_id = '', concat(toString(segment), ':', toString(o)), fact_id);

-- past_fact, past_direct, past_match: what matching_fact, matching_direct and conversion_match are to a tick, for one answer as known at a moment
-- of the past. Their columns are those, and `question` and `asked_at`. Filled and dropped by each question; what a stopped process left behind
-- goes with the hour. Grain: (question, conversion (fact_id)).
CREATE TABLE IF NOT EXISTS past_fact
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR
EMPTY AS SELECT toUInt64(0) AS question, now() AS asked_at, * FROM matching_fact;

ALTER TABLE past_fact MODIFY COLUMN asked_at DateTime DEFAULT now();

CREATE TABLE IF NOT EXISTS past_direct
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR
EMPTY AS SELECT toUInt64(0) AS question, now() AS asked_at, * FROM matching_direct;

ALTER TABLE past_direct MODIFY COLUMN asked_at DateTime DEFAULT now();

CREATE TABLE IF NOT EXISTS past_match
ENGINE = MergeTree
PARTITION BY question
ORDER BY fact_id
TTL asked_at + INTERVAL 1 HOUR
EMPTY AS SELECT toUInt64(0) AS question, now() AS asked_at, * EXCEPT (matched_at) FROM conversion_match;

ALTER TABLE past_match MODIFY COLUMN asked_at DateTime DEFAULT now();
