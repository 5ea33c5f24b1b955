"""What the span queue does when the receiver is slow, broken or away: bounded memory, counted losses, a bounded stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from core.span_queue import SpanCounts, SpanQueue

from ..redirect.live_worker import eventually

SPAN = ReadableSpan(name="hit")


def put(queue: SpanQueue, count: int = 1) -> None:
    queue.put(lambda: [SPAN] * count, count=count)


class Receiver(SpanExporter):
    """Takes spans, refuses them, breaks, or hangs until it is released."""

    def __init__(self, *, answer: SpanExportResult | Exception = SpanExportResult.SUCCESS, hangs: bool = False) -> None:
        self.answer = answer
        self.taken = 0
        self.released = threading.Event()
        if not hangs:
            self.released.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.released.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        self.taken += len(spans)
        return self.answer

    def shutdown(self) -> None:
        self.released.set()


def test_spans_are_sent_soon_and_counted() -> None:
    receiver = Receiver()
    queue = SpanQueue(receiver, delay_s=0.01)
    put(queue, 2)
    eventually(lambda: queue.counts() == SpanCounts(exported=2, dropped=0, failed=0, queued=0))
    queue.close()
    assert receiver.taken == 2


def test_closing_sends_what_waits_and_may_be_repeated() -> None:
    receiver = Receiver()
    queue = SpanQueue(receiver, delay_s=60)
    for _ in range(1000):
        put(queue)
    queue.close()
    queue.close()
    assert receiver.taken == 1000
    put(queue)
    assert queue.counts() == SpanCounts(exported=1000, dropped=1, failed=0, queued=0)


def test_a_receiver_that_hangs_costs_spans_and_neither_memory_nor_time() -> None:
    receiver = Receiver(hangs=True)
    queue = SpanQueue(receiver, max_queued=100, delay_s=0.01)
    put(queue, 60)
    eventually(lambda: queue.counts().queued == 0)  # handed over, and held there
    started = time.monotonic()
    for _ in range(60):
        put(queue, 2)
    assert time.monotonic() - started < 1
    assert queue.counts() == SpanCounts(exported=0, dropped=20, failed=0, queued=100), (
        "a click is kept whole or not at all"
    )
    queue.close(timeout_s=0.1)
    assert time.monotonic() - started < 2
    assert queue.counts().dropped == 120


def test_what_the_receiver_refuses_is_counted_and_the_next_batch_is_tried_later() -> None:
    for answer in (SpanExportResult.FAILURE, OSError("broken")):
        receiver = Receiver(answer=answer)
        queue = SpanQueue(receiver, delay_s=0.01)
        put(queue)
        eventually(lambda queue=queue: queue.counts().failed == 1)
        receiver.answer = SpanExportResult.SUCCESS
        put(queue)
        eventually(lambda queue=queue: queue.counts() == SpanCounts(exported=1, dropped=0, failed=1, queued=0))
        queue.close()


def test_spans_that_do_not_fit_are_not_even_made() -> None:
    queue = SpanQueue(Receiver(), max_queued=1, delay_s=60)
    made: list[int] = []

    def make() -> list[ReadableSpan]:
        made.append(1)
        return [SPAN, SPAN]

    queue.put(make, count=2)
    assert (made, queue.counts().dropped) == ([], 2)
    queue.close()
