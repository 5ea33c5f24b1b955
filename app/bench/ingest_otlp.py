"""Spans a second that the monitor takes, from exporters over HTTP into its journal, as it runs in production.

1. `clicktrace monitor` starts on a data directory of its own, with clicks in its store to look traces up among;
2. for each mix of paid and unpaid traffic, exporters send gzipped protobuf batches as fast as they are taken, each sending again what
   was refused;
3. the monitor is stopped; then its journal must hold every request in a service minute, and every span of a paid trace.

What is measured is the whole process: HTTP, decoding, minutes, click look-ups, the journal, and the shipper and correlator beside them.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import httpx
import msgspec

from app.auth import KeyRing
from app.bench.ingest_store import click_records
from app.bench.monitor import STOP_S, Monitor, running_monitor
from app.bench.span_load import MIXES, Mix, Sender, Template, template
from app.bench.wrk import cpu_seconds, rss_mb
from core.clock import now_ms
from core.control.engine import open_control
from core.errors import ClicktraceError
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Service, Span
from core.settings import JournalConfig

CLICKS: Final = 200_000
WARM_SPANS: Final = 50_000
_SENDERS: Final = 4


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One mix. `refused` counts batches that were sent again."""

    mix: str
    spans_per_s: int
    cpu_us_per_span: float
    refused: int
    rss_mb: int
    spans: int


def run(*, size: int, rounds: int) -> dict[str, object]:
    """Spans a second for each mix, and the least of them; `lost` is what the journal does not hold of what was taken.

    Args:
        size: spans of each mix and round.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        data_dir = Path(folder)
        key = _prepare(data_dir)
        sent = _Sent()
        with running_monitor(data_dir) as monitor:
            _measure(MIXES[0], WARM_SPANS, monitor, key, sent)  # a monitor that just started learns its baselines first
            measured = [_measure(mix, size, monitor, key, sent) for _ in range(rounds) for mix in MIXES]
            peak = _peak_mb(monitor.pid)
        minutes, spans = _journaled(data_dir)
    return {
        "size": size,
        "rounds": rounds,
        "cpus": os.cpu_count(),
        "clicks": CLICKS,
        "spans_per_s": min(one.spans_per_s for one in measured),
        "mixes": [msgspec.to_builtins(one) for one in measured],
        "peak_rss_mb": peak,
        "requests": sent.requests,
        "paid_spans": sent.paid_spans,
        "lost": abs(sent.requests - minutes) + abs(sent.paid_spans - spans),
    }


class _Sent:
    """What was taken by the receiver, over all mixes; and a number for each batch, so that no two are alike."""

    def __init__(self) -> None:
        self.requests = self.paid_spans = 0
        self.numbers = count(1)


def _prepare(data_dir: Path) -> str:
    """A key for the exporters, and clicks in the journal for the monitor to ship."""
    control = open_control("", data_dir)
    key = KeyRing(control).add("bench", scopes=["ingest"])
    control.dispose()
    writer = JournalWriter(data_dir / "journal", config=JournalConfig(), name="bench")
    writer.append_many(click_records(CLICKS, now=now_ms()))
    writer.close()
    return key


def _measure(mix: Mix, size: int, monitor: Monitor, key: str, sent: _Sent) -> Measured:
    batch = template(mix, now=now_ms())
    batches = max(_SENDERS, size // batch.spans)
    left = iter(range(batches))
    senders = [Sender(monitor.otlp_port, key=key) for _ in range(_SENDERS)]
    before, started = cpu_seconds(monitor.pid), time.monotonic()
    _all_send(senders, batch, left=left, sent=sent)
    _wait_until_worked_off(monitor.port)
    seconds = time.monotonic() - started
    spent = cpu_seconds(monitor.pid) - before
    sent.requests += batches * batch.requests
    sent.paid_spans += batches * batch.paid_spans
    return Measured(
        mix=mix.name,
        spans_per_s=round(batches * batch.spans / seconds),
        cpu_us_per_span=round(spent / (batches * batch.spans) * 1e6, 1),
        refused=sum(sender.refused for sender in senders),
        rss_mb=round(rss_mb(monitor.pid)),
        spans=batches * batch.spans,
    )


def _wait_until_worked_off(port: int) -> None:
    """Until nothing waits in the receiver's queue: what was only accepted is not in the journal yet."""
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=STOP_S, trust_env=False).text
        [queued] = [line.split()[1] for line in page.splitlines() if line.startswith("clicktrace_otlp_queued_spans ")]
        if float(queued) == 0:
            return
        time.sleep(0.1)
    raise ClicktraceError("the receiver does not work off its queue")


def _all_send(senders: list[Sender], batch: Template, *, left: Iterator[int], sent: _Sent) -> None:
    """Every exporter in a thread of its own, until all batches are taken."""
    failures: list[Exception] = []
    lock = threading.Lock()

    def work(sender: Sender) -> None:
        try:
            while True:
                with lock:
                    if next(left, None) is None or failures:
                        return
                    number = next(sent.numbers)
                sender.send(batch.copy(number))
        except Exception as error:  # noqa: BLE001 - it ends the measurement, not only this thread
            failures.append(error)
        finally:
            sender.close()

    threads = [threading.Thread(target=work, args=(sender,), daemon=True) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return round(kilobytes / 1024)


def _journaled(data_dir: Path) -> tuple[int, int]:
    """(requests in service minutes, spans of paid clicks) that the journal holds."""
    requests = spans = 0
    for segment in list_segments(data_dir / "journal"):
        for line in iter_lines(segment.path):
            if isinstance(line.record, Service):
                requests += line.record.requests
            spans += isinstance(line.record, Span)
    return requests, spans
