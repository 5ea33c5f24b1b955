"""The redirect's metrics, read from the workers' shared counters at every scrape; all names of this part are here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from redirect.counters import BUCKETS, WorkerCounters, read_all
from redirect.reasons import OUTCOMES, PARAMETER_SIGNALS

#: (slot, metric, help). The slot counts up over restarts of the worker.
_COUNTERS: Final = (
    ("bytes_sent", "clicktrace_redirect_sent_bytes", "Bytes of answers written."),
    ("connections_opened", "clicktrace_redirect_connections", "Connections accepted."),
    ("journal_writes", "clicktrace_redirect_journal_writes", "Writes to the journal, one per loop tick."),
    ("journal_errors", "clicktrace_redirect_journal_errors", "Ticks whose records the journal writer did not take."),
    ("unjournaled", "clicktrace_redirect_unjournaled", "Records kept in memory because the disk refused them."),
    ("lost", "clicktrace_redirect_lost", "Records that neither disk nor memory took."),
    (
        "fsync_failures",
        "clicktrace_redirect_fsync_failures",
        "Groups of answers that left although their fsync failed.",
    ),
    ("links_reads", "clicktrace_redirect_links_reads", "Hits whose link was not in memory and was read."),
    (
        "links_failures",
        "clicktrace_redirect_links_refresh_failures",
        "Reads and refreshes of links, and exchanges of click counts, that the database refused.",
    ),
)
#: (slot, metric, help, divisor to base units).
_GAUGES: Final = (
    ("connections_open", "clicktrace_redirect_open_connections", "Connections open now.", 1),
    ("ring_bytes", "clicktrace_redirect_ring_bytes", "Bytes of records waiting in memory for the disk.", 1),
    ("links", "clicktrace_redirect_links", "Links in the worker's memory.", 1),
    ("links_bytes", "clicktrace_redirect_links_bytes", "Bytes they take, at most redirect.links_memory_mb.", 1),
    (
        "links_refreshed_ms",
        "clicktrace_redirect_links_refreshed_timestamp_seconds",
        "When the control database last answered.",
        1000,
    ),
    ("started_ms", "clicktrace_redirect_started_timestamp_seconds", "When the worker started.", 1000),
)


class RedirectCollector(Collector):
    """Prometheus collector over the counters of every worker below a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def describe(self) -> list[Metric]:
        """No metrics ahead of time: a registry must not read the files at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        workers = read_all(self._data_dir)
        yield _requests(workers)
        yield _parameter_signals(workers)
        yield _durations(workers)
        for slot, name, text in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=["worker"])
            for worker in workers:
                counter.add_metric([str(worker.index)], worker.values[slot])
            yield counter
        for slot, name, text, divisor in _GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["worker"])
            for worker in workers:
                gauge.add_metric([str(worker.index)], worker.values[slot] / divisor)
            yield gauge


def _requests(workers: list[WorkerCounters]) -> Metric:
    family = CounterMetricFamily(
        "clicktrace_redirect_requests", "Requests by outcome (redirect/reasons.py).", labels=["worker", "outcome"]
    )
    for worker in workers:
        for outcome in OUTCOMES:
            family.add_metric([str(worker.index), outcome], worker.values[f"outcome:{outcome}"])
    return family


def _parameter_signals(workers: list[WorkerCounters]) -> Metric:
    family = CounterMetricFamily(
        "clicktrace_redirect_parameter_signals",
        "Redirected hits whose campaign parameters were not signed, or not as they are (`sign: campaign`).",
        labels=["worker", "signal"],
    )
    for worker in workers:
        for signal in PARAMETER_SIGNALS:
            family.add_metric([str(worker.index), signal], worker.values[f"signal:{signal}"])
    return family


def _durations(workers: list[WorkerCounters]) -> Metric:
    """Arrival of the request to the write of its answer, journal included."""
    family = HistogramMetricFamily(
        "clicktrace_redirect_duration_seconds",
        "From a request's first byte to its answer, the journal write included.",
        labels=["worker"],
    )
    for worker in workers:
        total, buckets = 0, []
        for index in range(BUCKETS):
            total += worker.values[f"bucket:{index}"]
            bound = "+Inf" if index == BUCKETS - 1 else repr(2**index / 1e6)
            buckets.append((bound, total))
        family.add_metric([str(worker.index)], buckets, sum_value=worker.values["duration_us_sum"] / 1e6)
    return family
