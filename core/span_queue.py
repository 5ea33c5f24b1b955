"""A bounded queue in front of a span exporter, emptied by a thread of its own; what is dropped or refused is counted.

The SDK's BatchSpanProcessor is not used: its flush has no time limit (opentelemetry-python #4568), so that a collector that is down
holds up our stop for minutes, and it does not say what it dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger(__name__)

#: Some 20 MB of spans: half a minute of a busy site.
MAX_QUEUED = 20_000
_BATCH = 512


class SpanCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the spans so far; `queued` is what waits now."""

    exported: int
    #: The queue was full.
    dropped: int
    #: The receiver did not take them, its retries included.
    failed: int
    queued: int


class SpanQueue:
    """Takes the spans of one thread without waiting for another. `close` may be called twice and is bounded in time."""

    def __init__(self, exporter: SpanExporter, *, max_queued: int = MAX_QUEUED, delay_s: float = 1.0) -> None:
        self._exporter = exporter
        self._max_queued = max_queued
        self._delay_s = delay_s
        self._queue: deque[ReadableSpan] = deque()
        self._exported = self._dropped = self._failed = 0
        self._lock = threading.Lock()
        self._full_batch = threading.Event()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._loop, name="spans", daemon=True)
        self._thread.start()

    def put(self, make: Callable[[], Sequence[ReadableSpan]], *, count: int) -> None:
        """Queue the spans that `make` makes; all `count` of them or, when they do not fit, none: half a click explains nothing.

        Making a span costs ten times what dropping it does, so those that do not fit are not made.
        """
        if len(self._queue) + count > self._max_queued or self._stopping.is_set():
            with self._lock:
                self._dropped += count
            return
        spans = make()
        with self._lock:
            self._queue.extend(spans)
            if len(self._queue) >= _BATCH:
                self._full_batch.set()

    def counts(self) -> SpanCounts:
        with self._lock:
            return SpanCounts(
                exported=self._exported, dropped=self._dropped, failed=self._failed, queued=len(self._queue)
            )

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Send what is queued, for at most `timeout_s`; the rest counts as dropped."""
        self._deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._full_batch.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()  # ends a retry that is waiting
        with self._lock:
            self._dropped += len(self._queue)
            self._queue.clear()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._full_batch.wait(self._delay_s)
            self._full_batch.clear()
            self._send()
        self._send()

    def _send(self) -> None:
        """Send what waits, a batch at a time; after a batch that failed the rest waits for the next turn."""
        while time.monotonic() < self._deadline:
            batch = self._take()
            if not batch or not self._export(batch):
                return

    def _take(self) -> list[ReadableSpan]:
        with self._lock:
            return [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]

    def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # telemetry is a by-product: a broken exporter is counted and must not end the thread
            log.exception("the span exporter failed")
            taken = False
        with self._lock:
            if taken:
                self._exported += len(batch)
            else:
                self._failed += len(batch)
        return taken
