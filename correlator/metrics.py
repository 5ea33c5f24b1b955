"""All Prometheus metrics of the correlator. Labels are step names and closed lists."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STEP_SECONDS = Histogram(
    "clicktrace_correlator_step_duration_seconds",
    "Duration of one step of the correlator in one tick.",
    ["step"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
STEP_ROWS = Counter("clicktrace_correlator_step_rows_total", "Rows a step looked at.", ["step"])
STEP_FAILURES = Counter("clicktrace_correlator_step_failures_total", "Runs of a step that ended in an error.", ["step"])
LAST_TICK = Gauge("clicktrace_correlator_last_tick_timestamp_seconds", "When the correlator last completed a tick.")
EXPOSURE_GAP = Gauge(
    "clicktrace_exposure_gap_ratio",
    "Share of clicks in which detection's running exposure differed from a full scan last night.",
)
EXPOSURE_CHECKS = Counter(
    "clicktrace_exposure_checks_total", "Nightly comparisons of the exposure with a full scan.", ["outcome"]
)
BASELINE_AGE = Gauge("clicktrace_baseline_age_seconds", "How long ago the baseline in force was learned.")
BASELINE_REFITS = Counter(
    "clicktrace_baseline_refits_total",
    "Refits of the baseline by outcome: adopted, failed, slow (more than ten minutes), incident (one opened meanwhile: thrown away).",
    ["outcome"],
)
REPORT_SECONDS = Histogram(
    "clicktrace_report_duration_seconds",
    "Duration of one answer of a reading route, the store's work included.",
    ["report"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
FLAGGED_RATIO = Gauge(
    "clicktrace_traffic_flagged_ratio",
    "Share of the last judged hour's hits that a word of traffic quality flags; `any` = at least one word (docs/redirect.md).",
    ["flag"],
)
FLAGGED_CONVERSIONS_RATIO = Gauge(
    "clicktrace_traffic_flagged_conversions_ratio",
    "Share of the last judged hour's conversions that a word of traffic quality flags; `any` = at least one word.",
    ["flag"],
)
DAY_CONVERSIONS = Gauge(
    "clicktrace_day_conversions",
    "Conversions of the last 24 hours by who told them; neither rejected nor duplicate.",
    ["origin", "source"],
)
DAY_UNMATCHED = Gauge(
    "clicktrace_day_unmatched_conversions",
    "Those of them that found no click, by why (`clicktrace unmatched` explains the words).",
    ["origin", "source", "reason"],
)
RECONCILED_DAY = Gauge(
    "clicktrace_reconciled_day_timestamp_seconds",
    "Beginning (UTC) of the newest day that the daily reconciliation looked at.",
)
RECONCILIATION_VARIANCE = Gauge(
    "clicktrace_reconciliation_variance_ratio",
    "Newest reconciled day, all campaigns: a system's conversions of a type less the believed system's, as a share of those.",
    ["type", "system"],
)
RECONCILIATION_BREAKS = Gauge(
    "clicktrace_reconciliation_breaks",
    "Newest reconciled day: what is outside its band or not as usual. `scope` all = all campaigns together, campaign = how many of them;"
    " `name` is the conversion type or the step, `cause` the likeliest (docs/reconciliation.md).",
    ["scope", "kind", "name", "system", "cause"],
)
STEP_RATIO = Gauge(
    "clicktrace_step_ratio",
    "Newest reconciled day, all campaigns: count of a step of the leak table as a share of the step before it.",
    ["step"],
)
