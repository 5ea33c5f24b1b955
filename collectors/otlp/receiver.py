"""Between the endpoints and the journal: a bounded queue, and one worker that flushes every second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from collectors.base import Journal
from collectors.config import OtlpConfig
from collectors.metrics import OTLP_HELD, OTLP_HELD_BYTES, OTLP_POINTS, OTLP_QUEUED, OTLP_SPANS, OTLP_UNASKED
from collectors.otlp.candidates import CLICK_ATTRIBUTE, URL_ATTRIBUTES
from collectors.otlp.membership import Kept, Lookup, PaidTraces
from collectors.otlp.minutes import ServiceMinutes
from collectors.otlp.signals import KINDS, MINUTE_ATTRIBUTES, STATUSES, Batch, PointData, SpanData
from collectors.otlp.versions import FirstSeen, NewVersions
from core.clock import Clock, now_ms
from core.errors import JournalError
from core.records import Gauge, Record, Span
from core.schedule import Periodic

log = structlog.get_logger(__name__)

SOURCE = "otlp"
MAX_TEXT = 512
MAX_ATTRIBUTES = 32
#: Senders' clocks differ from ours; a minute ahead is within what unsynchronised hosts show, beyond it the time is moved to now.
MAX_AHEAD_MS = 60_000
#: Records that wait while the journal is closed or broken, before the oldest are dropped.
MAX_UNWRITTEN = 100_000


class Receiver:
    """Takes decoded batches fast, works on them once per flush. `offer` may be called from any thread.

    What was accepted and not yet flushed is lost when the process is killed: it is telemetry, and at most a second old
    (spans of undecided traces: as old as `hold_s`).
    """

    def __init__(
        self,
        journal: Journal,
        lookup: Lookup,
        *,
        config: OtlpConfig,
        versions: NewVersions | None = None,
        clock: Clock = now_ms,
    ) -> None:
        self._journal = journal
        self._config = config
        self._clock = clock
        self._queue: deque[Batch] = deque()
        self._queued = self._queued_bytes = 0
        #: The attributes of a span that anything here reads.
        self.wanted = frozenset((*config.span_attributes, *MINUTE_ATTRIBUTES, *URL_ATTRIBUTES, CLICK_ATTRIBUTE))
        self._kept_attributes = frozenset(config.span_attributes)
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._minutes = ServiceMinutes(max_routes=config.max_routes)
        self._traces = PaidTraces(lookup, limits=config)
        self._versions = versions
        self._unwritten: list[Record] = []
        self._periodic = Periodic("otlp", self.flush, interval_s=config.flush_interval_s, clock=clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the worker and flush what is there. May be called twice."""
        self._periodic.stop(timeout_s)
        self.flush(self._clock())

    @property
    def full(self) -> bool:
        """True when no batch fits, whatever its size: a request need not even be decoded to be refused."""
        return self._queued >= self._config.queue_max_spans or self._queued_bytes >= self._config.queue_max_bytes

    def offer(self, batch: Batch) -> bool:
        """Queue a batch; False when it does not fit, and nothing was taken. An empty queue takes a batch of any size."""
        spans = len(batch.spans) + len(batch.points)
        with self._lock:
            if self._queued and (
                self._queued + spans > self._config.queue_max_spans
                or self._queued_bytes + batch.size > self._config.queue_max_bytes
            ):
                return False
            self._queue.append(batch)
            self._queued += spans
            self._queued_bytes += batch.size
            OTLP_QUEUED.set(self._queued)
        return True

    def flush(self, now: int) -> None:
        """Work through the queue and journal what came of it."""
        with self._flushing:
            first_seen: FirstSeen = {}
            for batch in self._drain():
                for span in batch.spans:
                    self._minutes.add(span, now=now)
                    self._traces.add(span, now=now)
                    key = (span.service, span.version)
                    if key not in first_seen or span.start_ns // 1_000_000 < first_seen[key]:
                        first_seen[key] = span.start_ns // 1_000_000
                self._unwritten += [gauge(point, now=now) for point in batch.points]
                OTLP_POINTS.labels("written").inc(len(batch.points))
            kept = self._traces.resolve(now=now)
            self._unwritten += self._minutes.flush()
            self._unwritten += [span_record(item, now=now, keep=self._kept_attributes) for item in kept]
            self._count(kept)
            marked = self._mark(first_seen, now=now)
            if self._write() and marked:
                self._saved_versions()

    def _drain(self) -> list[Batch]:
        with self._lock:
            batches = list(self._queue)
            self._queue.clear()
            self._queued = self._queued_bytes = 0
            OTLP_QUEUED.set(0)
        return batches

    def _mark(self, first_seen: FirstSeen, *, now: int) -> bool:
        """Make markers of new versions; what becomes of the spans does not depend on it."""
        if self._versions is None:
            return False
        try:
            self._versions.add(first_seen)
            self._unwritten += self._versions.markers(now=now)
        except SQLAlchemyError as error:
            log.warning("versions not compared", error=str(error))
            return False
        return True

    def _saved_versions(self) -> None:
        try:
            if self._versions is not None:
                self._versions.saved()
        except SQLAlchemyError as error:
            log.warning("versions not remembered: a marker may be made again", error=str(error))

    def _write(self) -> bool:
        """True when nothing waits any more."""
        if not self._unwritten:
            return True
        try:
            self._journal.append_many(self._unwritten)
        except JournalError as error:
            dropped = max(0, len(self._unwritten) - MAX_UNWRITTEN)
            del self._unwritten[:dropped]
            log.error("spans not journaled", waiting=len(self._unwritten), dropped=dropped, error=str(error))
            return False
        self._unwritten = []
        return True

    def _count(self, kept: Sequence[Kept]) -> None:
        OTLP_SPANS.labels("kept").inc(len(kept))
        OTLP_SPANS.labels("unpaid").inc(self._traces.dropped_unpaid)
        OTLP_SPANS.labels("dropped").inc(self._traces.dropped_full)
        OTLP_UNASKED.inc(self._traces.unasked)
        self._traces.dropped_unpaid = self._traces.dropped_full = self._traces.unasked = 0
        OTLP_HELD.set(self._traces.held)
        OTLP_HELD_BYTES.set(self._traces.held_bytes)


def event_time(time_ns: int, *, now: int) -> int:
    """A sender's time in ms; one that lies ahead of us by more than clocks differ is moved to now."""
    ms = time_ns // 1_000_000
    return ms if 0 < ms <= now + MAX_AHEAD_MS else now


def span_record(kept: Kept, *, now: int, keep: Collection[str]) -> Span:
    """The record of a paid click's span, with the attributes of the allow-list only."""
    span = kept.span
    return Span(
        ts=event_time(span.start_ns, now=now),
        source=SOURCE,
        click_id=kept.click_id,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        service=span.service[:MAX_TEXT],
        name=span.name[:MAX_TEXT],
        duration_us=max(0, span.end_ns - span.start_ns) // 1000,
        status=STATUSES[span.status] if span.status < len(STATUSES) else "",
        kind_of=KINDS[span.kind] if span.kind < len(KINDS) else "",
        version=span.version[:MAX_TEXT],
        route=span.route[:MAX_TEXT] if span.kind == 2 else "",
        http_status=span.http_status,
        error=span.error,
        attributes={name: value[:MAX_TEXT] for name, value in span.attributes.items() if name in keep},
    )


def gauge(point: PointData, *, now: int) -> Gauge:
    """The record of a metric's data point."""
    attributes = {key[:MAX_TEXT]: value[:MAX_TEXT] for key, value in list(point.attributes.items())[:MAX_ATTRIBUTES]}
    return Gauge(
        ts=event_time(point.time_ns, now=now),
        source=SOURCE,
        service=point.service[:MAX_TEXT],
        name=point.name[:MAX_TEXT],
        value=point.value,
        attributes=attributes,
    )


def reject_old(spans: list[SpanData], *, now: int, max_age_s: int, batch: Batch) -> list[SpanData]:
    """Spans that ended recently enough to belong to a minute that is still open to late facts."""
    oldest_ns = (now - max_age_s * 1000) * 1_000_000
    fresh = [span for span in spans if span.end_ns >= oldest_ns]
    for _ in range(len(spans) - len(fresh)):
        batch.reject("too_old")
    return fresh
