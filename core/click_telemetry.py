"""Spans, histograms and exemplars of the redirect, derived from click lines after they are shipped (design §4, §5).

An SDK span costs 14.5 us, the whole budget of a redirect, so workers write none. A click ID is a trace ID: each hit becomes a child
span of the click's root, whose ID anyone can derive, and the root is exported once, when the click is first seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from core.clock import HOUR_MS, Clock, now_ms
from core.errors import StoreError
from core.identity import IDENTITY_PARAMETERS, is_click_id, root_span_id
from core.metrics import ClickMetrics
from core.records import Click, Line
from core.span_queue import SpanQueue
from core.store.client import Store
from core.version import VERSION

log = structlog.get_logger(__name__)

#: How many derived click IDs are remembered; further back, and before the last hour at a start, a repeated root is the same span again.
_KNOWN_CLICKS = 200_000
#: Seconds that one export may take, its retries included.
_EXPORT_TIMEOUT_S = 5.0
_SCOPE = InstrumentationScope("clicktrace.redirect", VERSION)
_RECENT = (
    "SELECT DISTINCT lower(hex(click_id)) AS click_id FROM click"
    " WHERE known_at > fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
    f" AND arrayExists(name -> has({list(IDENTITY_PARAMETERS)}, name), mapKeys(platform_ids)) LIMIT {_KNOWN_CLICKS}"
)

Attributes = dict[str, str | int | bool | list[str]]


def recent_clicks(store: Store, *, now: int) -> list[str]:
    """Derived click IDs of the last hour: a process that starts in the midst of clicks must not begin them anew."""
    try:
        return [str(row["click_id"]) for row in store.rows(_RECENT, {"since": now - HOUR_MS})]
    except StoreError as error:
        log.warning("recent clicks are not known; a root span may be exported again", error=str(error))
        return []


class ClickTelemetry:
    """A line observer (`core.shipper.LineObserver`) for clicks. The shipper's thread calls it; exporting happens in another.

    Args:
        endpoint: OTLP/HTTP traces URL, such as ``http://collector:4318/v1/traces``; empty = no spans leave, only metrics.
        sampling: share of clicks that are exported and may become exemplars, 0 to 1, by click ID: all hits of a click or none.
        known: click IDs whose root was exported before.
        signals: words of a click's `bot_signals` that are counted.
        exporter: another exporter than OTLP/HTTP.
    """

    kinds = frozenset({"click"})

    def __init__(
        self,
        *,
        endpoint: str = "",
        sampling: float = 1.0,
        known: Iterable[str] = (),
        signals: Sequence[str] = (),
        clock: Clock = now_ms,
        exporter: SpanExporter | None = None,
    ) -> None:
        self._bound = round(sampling * 2**64)
        self._clock = clock
        self._resource = Resource.create({"service.name": "clicktrace-redirect", "service.version": VERSION})
        self._roots: OrderedDict[str, None] = OrderedDict.fromkeys(known)
        if exporter is None and endpoint:
            exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_TIMEOUT_S)
        self._queue = SpanQueue(exporter) if exporter is not None else None
        self.metrics = ClickMetrics(signals=signals, spans=self._queue.counts if self._queue is not None else None)

    def observe(self, kind: str, lines: list[Line]) -> None:
        """Take confirmed click lines; spans that the queue cannot hold are dropped rather than waited for."""
        now = self._clock()
        for line in lines:
            click = line.record
            if isinstance(click, Click) and is_click_id(click.click_id):
                sampled = self.sampled(click.click_id)
                self._measure(line, click, trace_id=click.click_id if sampled else "", now=now)
                if sampled and self._queue is not None:
                    self._export(click, queue=self._queue)

    def sampled(self, click_id: str) -> bool:
        """The W3C rule of TraceIdRatioBased: the low 64 bits of the trace ID against the share."""
        return int(click_id[16:], 16) < self._bound

    def close(self) -> None:
        """Send what is queued, for a bounded time."""
        if self._queue is not None:
            self._queue.close()

    def _measure(self, line: Line, click: Click, *, trace_id: str, now: int) -> None:
        known_at = line.envelope.known_at
        outcome = "lost" if click.http_status >= 400 else "redirected"
        metrics = self.metrics
        metrics.durations.add(click.duration_us / 1e6, value=outcome, trace_id=trace_id, at_ms=click.ts)
        metrics.journal_lag.add(max(known_at - click.ts, 0) / 1000, trace_id=trace_id, at_ms=known_at)
        metrics.count_signals(click.bot_signals)
        metrics.shipper_lag.add(max(now - known_at, 0) / 1000, trace_id=trace_id, at_ms=now)

    def _export(self, click: Click, *, queue: SpanQueue) -> None:
        begins, hit = self._is_new(click), bool(int(click.hit_id, 16))
        queue.put(lambda: list(self._spans(click, begins=begins, hit=hit)), count=begins + hit)

    def _spans(self, click: Click, *, begins: bool, hit: bool) -> Iterator[ReadableSpan]:
        root = _context(click.click_id, root_span_id(click.click_id))
        said = _clicktrace_attributes(click)
        if begins:
            yield self._span("click", root, parent=None, kind=SpanKind.INTERNAL, click=click, attributes=said)
        if hit:
            own = _context(click.click_id, click.hit_id)
            method = click.method or "GET"
            attributes = {**_http_attributes(click, method=method), **said}
            yield self._span(
                f"{method} /{{slug}}", own, parent=root, kind=SpanKind.SERVER, click=click, attributes=attributes
            )

    def _is_new(self, click: Click) -> bool:
        """True once per click. A random ID is minted for one hit; only a derived one can come again, and is remembered."""
        if not any(name in click.platform_ids for name in IDENTITY_PARAMETERS):
            return True
        if click.click_id in self._roots:
            return False
        self._roots[click.click_id] = None
        if len(self._roots) > _KNOWN_CLICKS:
            self._roots.popitem(last=False)
        return True

    def _span(
        self,
        name: str,
        context: SpanContext,
        *,
        parent: SpanContext | None,
        kind: SpanKind,
        click: Click,
        attributes: Attributes,
    ) -> ReadableSpan:
        failed = click.http_status >= 500
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            kind=kind,
            resource=self._resource,
            instrumentation_scope=_SCOPE,
            attributes=attributes,
            status=Status(StatusCode.ERROR, click.reason) if failed else Status(StatusCode.UNSET),
            start_time=click.ts * 1_000_000,
            end_time=click.ts * 1_000_000 + click.duration_us * 1_000,
        )


def _context(trace_id: str, span_id: str) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id=int(trace_id, 16), span_id=int(span_id, 16), is_remote=False, trace_flags=sampled)


def _http_attributes(click: Click, *, method: str) -> Attributes:
    """OpenTelemetry's semantic conventions for HTTP server spans, as far as a click says it. The query may be personal and is absent."""
    values: Attributes = {
        "http.request.method": method,
        "http.response.status_code": click.http_status,
        "http.route": "/{slug}",
        "url.path": f"/{click.slug}",
        "server.address": click.domain,
        "user_agent.original": click.user_agent,
        "error.type": click.reason if click.http_status >= 500 else "",
    }
    return {name: value for name, value in values.items() if value != ""}


def _clicktrace_attributes(click: Click) -> Attributes:
    """What only we can say; no visitor, no network, no platform ID: a span backend is not where erasure reaches."""
    values: Attributes = {
        "clicktrace.click_id": click.click_id,
        "clicktrace.campaign": click.campaign,
        "clicktrace.platform": click.platform,
        "clicktrace.link_id": click.link_id,
        "clicktrace.link_version": click.link_version,
        "clicktrace.slug": click.slug,
        "clicktrace.page": click.page,
        "clicktrace.variant": click.variant,
        "clicktrace.reason": click.reason,
        "clicktrace.routing": click.routing,
        "clicktrace.bot_signals": click.bot_signals,
        "clicktrace.consent": click.consent,
        "clicktrace.parallel": click.parallel,
    }
    return {name: value for name, value in values.items() if value not in ("", [])}
