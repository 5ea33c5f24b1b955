"""All Prometheus metrics of the uploads. Labels come from closed lists or from the settings."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

DECISIONS = Counter(
    "clicktrace_uploads_decisions_total",
    "Conversions that were looked at for a destination, by what was decided (pending, or why one is left out).",
    ["destination", "outcome"],
)
RESULTS = Counter(
    "clicktrace_uploads_results_total",
    "Uploads by what a call led to: sent, accepted, refused, or why they wait.",
    ["destination", "outcome"],
)
CALLS = Counter(
    "clicktrace_uploads_calls_total", "Requests to ad platforms, by how they ended.", ["destination", "outcome"]
)
UPLOADS = Gauge("clicktrace_uploads", "Uploads in the sent log, by state.", ["destination", "state"])
OLDEST_WAITING = Gauge(
    "clicktrace_uploads_oldest_waiting_seconds",
    "Age of the oldest upload that should have gone out by now; what the platform took and works on is not among them.",
    ["destination"],
)
STOPPED = Gauge("clicktrace_uploads_stopped", "1 after a permanent error, until a call succeeds.", ["destination"])
