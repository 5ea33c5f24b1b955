"""All Prometheus metrics of the collectors. Labels come from closed lists or from the settings, never from what is sent."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PUSH_ITEMS = Counter(
    "clicktrace_push_items_total",
    "Items sent to the push endpoints, by what became of them.",
    ["collection", "outcome"],
)
OTLP_REQUESTS = Counter(
    "clicktrace_otlp_requests_total", "OTLP requests, by what became of them.", ["signal", "outcome"]
)
OTLP_SPANS = Counter("clicktrace_otlp_spans_total", "Spans received, by what became of them.", ["outcome"])
OTLP_POINTS = Counter(
    "clicktrace_otlp_points_total", "Metric data points received, by what became of them.", ["outcome"]
)
OTLP_QUEUED = Gauge("clicktrace_otlp_queued_spans", "Spans accepted and not yet worked on.")
OTLP_HELD = Gauge("clicktrace_otlp_held_spans", "Spans kept until their click is known.")
SOURCE_RUNS = Counter("clicktrace_source_runs_total", "Reads of pull sources, by outcome.", ["source", "outcome"])
SOURCE_DURATION = Histogram(
    "clicktrace_source_run_duration_seconds",
    "Duration of one read of a pull source, retries included.",
    ["source"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
SOURCE_ROWS = Counter("clicktrace_source_rows_total", "Rows that pull sources answered.", ["source", "outcome"])
SOURCE_WATERMARK = Gauge(
    "clicktrace_source_complete_through_seconds", "Event time up to which the source is complete.", ["source"]
)
SOURCE_STOPPED = Gauge("clicktrace_source_stopped", "1 after a permanent error, until a read succeeds.", ["source"])
