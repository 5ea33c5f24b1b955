-- What the daily reconciliation keeps (correlator/daily_reconciliation.py). All three can be counted again from the journal's tables: a run counts what
-- was known at the moment it was due, whenever it really takes place.

-- reconciliation_run: the runs that took place. Grain: (day, known_by). `known_by` is the moment the run was due, and what it knew.
CREATE TABLE IF NOT EXISTS reconciliation_run
(
    day Date,
    known_by DateTime64(3, 'UTC'),
    campaigns UInt32,
    breaks UInt32
)
ENGINE = ReplacingMergeTree
ORDER BY (day, known_by);

-- reconciled_day: how many reached each step on a day, by campaign ('' = none). Grain: (day, known_by, campaign). Steps are called as in the leak table.
-- The newest run of a day is what is learned from.
CREATE TABLE IF NOT EXISTS reconciled_day
(
    day Date,
    known_by DateTime64(3, 'UTC'),
    campaign String,
    steps Map(LowCardinality(String), Float64)
)
ENGINE = ReplacingMergeTree
ORDER BY (day, known_by, campaign);

-- reconciliation_finding: what was outside its band or unusual, with its causes. Grain: (day, known_by, scope, kind, name, system); scope '*' = all
-- campaigns together. `cause` is the likeliest, `causes` all of them as JSON. Sums (kind 'sum') are micros of `currency`.
CREATE TABLE IF NOT EXISTS reconciliation_finding
(
    day Date,
    known_by DateTime64(3, 'UTC'),
    scope String,
    kind LowCardinality(String),
    name LowCardinality(String),
    system LowCardinality(String),
    against LowCardinality(String),
    count Float64,
    expected Float64,
    currency LowCardinality(String),
    cause LowCardinality(String),
    causes String
)
ENGINE = ReplacingMergeTree
ORDER BY (day, known_by, scope, kind, name, system);
