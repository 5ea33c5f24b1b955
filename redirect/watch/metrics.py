"""All Prometheus metrics of the destination watch. Labels come from closed lists; never a URL, host or link."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

DESTINATIONS = Gauge("clicktrace_watch_destinations", "Watched URLs by what their newest look found.", ["state"])
FINDINGS = Gauge(
    "clicktrace_watch_findings", "Watched URLs with this finding now (redirect/watch/check.py).", ["finding"]
)
UNWATCHED = Gauge("clicktrace_watch_unwatched", "URLs beyond redirect.watch.max_destinations: nobody looks at them.")
OVERDUE = Gauge("clicktrace_watch_overdue", "Watched URLs whose look is late by more than an interval.")
CHECKS = Counter("clicktrace_watch_checks_total", "Looks by what they found, after confirmation.", ["state"])
LOOK_SECONDS = Histogram(
    "clicktrace_watch_look_seconds",
    "One look at a destination, redirects included.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CANARY_SECONDS = Histogram(
    "clicktrace_canary_seconds",
    "From a canary's click until it and its touch were found in the store.",
    buckets=(0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300),
)
CANARIES = Counter(
    "clicktrace_canaries_total", "Canary clicks by what became of them (redirect/watch/canary.py).", ["outcome"]
)
CANARY_LOST = Gauge("clicktrace_canary_lost_links", "Links whose newest canary was lost, twice in a row.")
CANARY_ROUND = Gauge("clicktrace_canary_last_round_timestamp_seconds", "When the last round of canaries ended.")
