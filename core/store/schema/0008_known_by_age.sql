-- known_by_age: how much of what happened on a day was known at each age. Grain: (kind, source, origin, name, day).
-- kind: click, conversion, spend, tally. `origin` and `name` tell conversions (name = type) and tallies apart, else "". `ages_ms` ascends;
-- known[i] is the sum over the day's facts of what was said by the time they were ages_ms[i] old: conversions that count, cost in micros,
-- tallied counts, hits. An age is known for the whole day once the day's end lies that far before `through`, a midnight (UTC) up to which
-- everything journaled was in the store when the row was written; what was known by then never changes, so later rows say the same of it. Older
-- ages are 0: a row depends on its day and `through` only, and a store filled anew has the same rows.
-- Only days after the source's first line count: what was filled back says nothing about how fast the source is. Read it with FINAL.
-- The row of kind 'all' says through when everything is learned.
-- It can be computed again from the journal's tables (correlator/learned.py).
CREATE TABLE IF NOT EXISTS known_by_age
(
    kind LowCardinality(String),
    source LowCardinality(String),
    origin LowCardinality(String),
    name LowCardinality(String),
    day Date,
    ages_ms Array(Int64),
    known Array(Float64),
    through DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(through)
ORDER BY (kind, source, origin, name, day)
SETTINGS non_replicated_deduplication_window = 10000;
