"""/metrics: the parts' own metrics, and what the monitor itself knows of shipper, journal and leadership.

The parts register theirs with the process's registry; what has its state elsewhere is read at every scrape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app.parts import Base, Shipping
from core.erasure.eraser import Eraser
from core.schedule import Periodic
from core.version import VERSION


class Leads(Protocol):
    """Whether this process runs the correlator and the alerts."""

    @property
    def leads(self) -> bool: ...


class MonitorCollector(Collector):
    """What the monitor knows of itself, by one scrape. Names begin with `clicktrace_`, units are base units."""

    def __init__(
        self,
        base: Base,
        *,
        shipping: Shipping | None,
        eraser: Eraser | None,
        loops: Sequence[Periodic],
        leadership: Leads | None,
    ) -> None:
        self._base = base
        self._shipping = shipping
        self._eraser = eraser
        self._loops = loops
        self._leadership = leadership

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: the store need not answer for a registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("clicktrace_build_info", "Version of the running code.", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        yield from self._journal()
        if self._shipping is not None:
            yield from self._shipper(self._shipping)
        if self._eraser is not None:
            asked_at = self._eraser.oldest_open
            yield _gauge(
                "clicktrace_erasure_oldest_open_seconds",
                "Age of the oldest erasure of a person that is not done on every machine; 0 when all are.",
                0 if asked_at is None else max(0, self._base.clock() - asked_at) / 1000,
            )
        yield from self._periodic()
        if self._leadership is not None:
            yield _gauge(
                "clicktrace_leader", "1 while this process runs correlator and alerts.", self._leadership.leads
            )

    def _journal(self) -> Iterator[Metric]:
        stats = self._base.journal.stats
        yield _counter("clicktrace_journal_lines", "Lines the monitor's writer has appended.", stats.appended)
        yield _counter("clicktrace_journal_bytes", "Bytes the monitor's writer has appended.", stats.bytes)
        yield _counter("clicktrace_journal_lost", "Lines that neither disk nor memory took.", stats.lost)
        yield _gauge("clicktrace_journal_unjournaled", "Lines that wait in memory for the disk.", stats.ring_lines)
        yield _gauge(
            "clicktrace_journal_healthy", "1 while the disk takes what is written.", self._base.journal.healthy
        )

    def _shipper(self, shipping: Shipping) -> Iterator[Metric]:
        now = self._base.clock()
        through = shipping.shipper.shipped_through(now)
        yield _gauge(
            "clicktrace_shipper_behind_bytes", "Journal bytes not yet in the store.", shipping.last.behind_bytes
        )
        yield _gauge(
            "clicktrace_shipper_shipped_through_timestamp_seconds",
            "Everything journaled up to this time is in the store.",
            through / 1000,
        )
        yield _counter("clicktrace_shipper_lines", "Journal lines loaded into the store.", shipping.lines)
        yield _counter("clicktrace_shipper_bytes", "Journal bytes loaded into the store.", shipping.bytes)
        yield _counter("clicktrace_shipper_dead_letters", "Lines that could not be loaded.", shipping.dead_letters)

    def _periodic(self) -> Iterator[Metric]:
        failures = CounterMetricFamily("clicktrace_loop_failures", "Runs that ended in an error.", labels=["loop"])
        duration = GaugeMetricFamily(
            "clicktrace_loop_last_duration_seconds", "Duration of the last run.", labels=["loop"]
        )
        started = GaugeMetricFamily(
            "clicktrace_loop_last_run_timestamp_seconds", "Start of the last run.", labels=["loop"]
        )
        for loop in self._loops:
            failures.add_metric([loop.name], loop.failures)
            duration.add_metric([loop.name], loop.last_duration_s)
            started.add_metric([loop.name], loop.last_run_ms / 1000)
        yield from (failures, duration, started)


def build_router(registry: CollectorRegistry) -> APIRouter:
    """GET /metrics, as OpenMetrics (with exemplars) to whoever accepts it."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", summary="Prometheus metrics")
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    return router


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=float(value))
