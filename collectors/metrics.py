"""All Prometheus metrics of the collectors. Labels come from closed lists or from the settings, never from what is sent."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from collectors.base import SourceStatus
from collectors.shape_watch import FINDINGS

PUSH_ITEMS = Counter(
    "clicktrace_push_items_total",
    "Items sent to the push endpoints, by what became of them; a body that cannot be read counts as one.",
    ["collection", "outcome"],
)
HOOK_CALLS = Counter(
    "clicktrace_hook_calls_total",
    "Calls of webhooks, by connection and what became of them.",
    ["hook", "outcome"],
)
POSTBACKS = Counter(
    "clicktrace_postbacks_total", "Postbacks, by sender and what became of them.", ["sender", "outcome"]
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
OTLP_HELD_BYTES = Gauge("clicktrace_otlp_held_bytes", "Memory that those spans take.")
OTLP_UNASKED = Counter(
    "clicktrace_otlp_traces_unasked_total",
    "Times that a trace which names no click was not looked up, because more came than are looked up in one flush.",
)
SYNTHETIC_PAGES = Gauge(
    "clicktrace_synthetic_pages", "Pages of a synthetic check by how they were found last.", ["check", "state"]
)
OTLP_VERSIONS = Counter(
    "clicktrace_otlp_versions_total",
    "Versions of services that spans named for the first time: marked as a deploy, or why not.",
    ["outcome"],
)
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
SOURCE_LAST_SUCCESS = Gauge(
    "clicktrace_source_last_success_timestamp_seconds",
    "When the source was last read completely; before the first time, when it was first tried.",
    ["source"],
)
SOURCE_OVERDUE = Gauge(
    "clicktrace_source_overdue_after_seconds", "Without a complete read for so long the source is silent.", ["source"]
)
SOURCE_FINDING = Gauge(
    "clicktrace_source_finding", "1 while what the source answers is not as it used to be.", ["source", "finding"]
)
SOURCE_QUOTA = Gauge(
    "clicktrace_source_quota_used_ratio", "Share of the vendor's quota that is used, by the vendor's count.", ["source"]
)

#: A source is silent after this many intervals without a complete read, and not before an hour.
MISSED_INTERVALS = 3
SILENT_S = 3600.0


class SourceGauges:
    """The gauges of one source, all set from its status."""

    def __init__(self, source: str, *, interval_s: float) -> None:
        self._source = source
        self._first_attempt = 0
        self._overdue_s = max(SILENT_S, MISSED_INTERVALS * interval_s)
        self._hidden = False

    def hide(self) -> None:
        """Another process reads the source now: what this one saw last would stand for ever, and alert."""
        self._hidden, self._first_attempt = True, 0
        for gauge in (SOURCE_WATERMARK, SOURCE_STOPPED, SOURCE_LAST_SUCCESS, SOURCE_OVERDUE, SOURCE_QUOTA):
            gauge.remove(self._source)
        for word in FINDINGS:
            SOURCE_FINDING.remove(self._source, word)

    def reveal(self) -> None:
        self._hidden = False

    def show(self, status: SourceStatus) -> None:
        if self._hidden:
            return
        SOURCE_OVERDUE.labels(self._source).set(self._overdue_s)
        self._first_attempt = self._first_attempt or status.last_attempt
        SOURCE_WATERMARK.labels(self._source).set(status.complete_through / 1000)
        SOURCE_STOPPED.labels(self._source).set(status.state == "stopped")
        SOURCE_LAST_SUCCESS.labels(self._source).set((status.last_success or self._first_attempt) / 1000)
        found = {finding.word for finding in status.findings}
        for word in FINDINGS:
            SOURCE_FINDING.labels(self._source, word).set(word in found)
        if status.quota is not None and status.quota.limit:
            SOURCE_QUOTA.labels(self._source).set(status.quota.used / status.quota.limit)
