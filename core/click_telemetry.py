"""Spans, a histogram and exemplars of the redirect, derived from click lines after they are shipped (design §4, §5).

An SDK span costs 14.5 us, the whole budget of a redirect, so workers write none. A click ID is a trace ID: each hit becomes a child
span of the click's root, whose ID anyone can derive, and the root is exported once, when the click is first seen.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from threading import Lock

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from core.identity import is_click_id, root_span_id
from core.records import Click, Line
from core.version import VERSION

#: Upper bounds in seconds of the redirect histogram: a redirect takes tens of microseconds, a sick one milliseconds.
BOUNDS_S: tuple[float, ...] = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
OUTCOMES = ("redirected", "lost")

_KNOWN_CLICKS = 200_000
_QUEUED_SPANS = 20_000
_SCOPE = InstrumentationScope("clicktrace.redirect", VERSION)


class ClickTelemetry:
    """A line observer (`core.shipper.LineObserver`) for clicks. The shipper's thread calls it; exporting happens in another.

    Args:
        endpoint: OTLP/HTTP traces URL, such as ``http://collector:4318/v1/traces``; empty = no spans leave, only metrics.
        sampling: share of clicks whose spans are exported, 0 to 1, decided by click ID: all hits of a click or none.
        exporter: another exporter than OTLP/HTTP.
    """

    kinds = frozenset({"click"})

    def __init__(self, *, endpoint: str = "", sampling: float = 1.0, exporter: SpanExporter | None = None) -> None:
        self.durations = RedirectDurations()
        self._bound = round(sampling * 2**64)
        self._resource = Resource.create({"service.name": "clicktrace-redirect", "service.version": VERSION})
        self._roots: OrderedDict[str, None] = OrderedDict()
        chosen = exporter or (OTLPSpanExporter(endpoint=endpoint) if endpoint else None)
        self._processor = (
            BatchSpanProcessor(chosen, max_queue_size=_QUEUED_SPANS, schedule_delay_millis=1_000) if chosen else None
        )

    def observe(self, kind: str, lines: list[Line]) -> None:
        """Take confirmed click lines; spans that the queue cannot hold are dropped rather than waited for."""
        for line in lines:
            click = line.record
            if isinstance(click, Click) and is_click_id(click.click_id):
                exported = self._processor is not None and self.sampled(click.click_id)
                self.durations.add(click, exemplar=exported)
                if exported:
                    self._export(click)

    def sampled(self, click_id: str) -> bool:
        """The W3C rule of TraceIdRatioBased: the low 64 bits of the trace ID against the share."""
        return int(click_id[16:], 16) < self._bound

    def close(self) -> None:
        """Send what is queued, for a bounded time."""
        if self._processor is not None:
            self._processor.force_flush(5_000)
            self._processor.shutdown()  # type: ignore[no-untyped-call] # the SDK leaves it without types

    def _export(self, click: Click) -> None:
        assert self._processor is not None
        for span in self._spans(click):
            self._processor.on_end(span)

    def _spans(self, click: Click) -> Iterator[ReadableSpan]:
        root = _context(click.click_id, root_span_id(click.click_id))
        if self._is_new(click.click_id):
            yield self._span("click", root, parent=None, kind=SpanKind.INTERNAL, click=click)
        if int(click.hit_id, 16):
            hit = _context(click.click_id, click.hit_id)
            yield self._span("redirect", hit, parent=root, kind=SpanKind.SERVER, click=click)

    def _is_new(self, click_id: str) -> bool:
        """True once per click; the oldest are forgotten (a root exported twice is the same span under the same ID)."""
        if click_id in self._roots:
            return False
        self._roots[click_id] = None
        if len(self._roots) > _KNOWN_CLICKS:
            self._roots.popitem(last=False)
        return True

    def _span(
        self, name: str, context: SpanContext, *, parent: SpanContext | None, kind: SpanKind, click: Click
    ) -> ReadableSpan:
        failed = click.http_status >= 500
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            kind=kind,
            resource=self._resource,
            instrumentation_scope=_SCOPE,
            attributes=_attributes(click),
            status=Status(StatusCode.ERROR, click.reason) if failed else Status(StatusCode.UNSET),
            start_time=click.ts * 1_000_000,
            end_time=click.ts * 1_000_000 + click.duration_us * 1_000,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id=int(trace_id, 16), span_id=int(span_id, 16), is_remote=False, trace_flags=sampled)


def _attributes(click: Click) -> dict[str, str | int]:
    """OpenTelemetry's names where it has one (semantic conventions for HTTP), ours for the rest."""
    values: dict[str, str | int] = {
        "clicktrace.click_id": click.click_id,
        "clicktrace.campaign": click.campaign,
        "clicktrace.platform": click.platform,
        "clicktrace.link_id": click.link_id,
        "clicktrace.slug": click.slug,
        "clicktrace.reason": click.reason,
        "server.address": click.domain,
        "user_agent.original": click.user_agent,
        "http.response.status_code": click.http_status,
    }
    return {name: value for name, value in values.items() if value != ""}


class RedirectDurations(Collector):
    """`clicktrace_click_duration_seconds` by outcome, each bucket with the trace of a click that fell into it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = {outcome: [0] * (len(BOUNDS_S) + 1) for outcome in OUTCOMES}
        self._sums = dict.fromkeys(OUTCOMES, 0.0)
        self._exemplars: dict[tuple[str, int], Exemplar] = {}

    def add(self, click: Click, *, exemplar: bool) -> None:
        """Count one hit; its trace becomes the bucket's exemplar when its spans are exported."""
        seconds = click.duration_us / 1_000_000
        outcome = "lost" if click.http_status >= 400 else "redirected"
        bucket = bisect_left(BOUNDS_S, seconds)
        with self._lock:
            self._counts[outcome][bucket] += 1
            self._sums[outcome] += seconds
            if exemplar:
                self._exemplars[outcome, bucket] = Exemplar({"trace_id": click.click_id}, seconds, click.ts / 1000)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "clicktrace_click_duration_seconds", "Time from a request's last byte to its answer.", labels=["outcome"]
        )
        with self._lock:
            for outcome in OUTCOMES:
                family.add_metric([outcome], list(self._buckets(outcome)), self._sums[outcome])
        yield family

    def _buckets(self, outcome: str) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
        total = 0
        for bucket, count in enumerate(self._counts[outcome]):
            total += count
            bound = str(BOUNDS_S[bucket]) if bucket < len(BOUNDS_S) else "+Inf"
            exemplar = self._exemplars.get((outcome, bucket))
            yield (bound, total) if exemplar is None else (bound, total, exemplar)
