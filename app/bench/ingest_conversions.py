"""Conversions a second that the monitor takes over HTTP in batches of 100, as it runs in production.

1. `clicktrace monitor` starts on a data directory of its own, whose store holds conversions of the days before;
2. four senders post new orders, each waiting for its answer as a shop's back end does; then they send the same again;
3. the monitor is stopped; then its journal must hold every order once.

What is measured is the whole process: HTTP, decoding, the comparison with the current versions in the store, the journal, and the
shipper and correlator beside them.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import msgspec

from app.auth import KeyRing
from app.bench.monitor import STOP_S, Monitor, running_monitor
from app.bench.wrk import cpu_seconds
from core.clock import DAY_MS, now_ms, to_rfc3339
from core.control.engine import open_control
from core.errors import ClicktraceError
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Conversion
from core.settings import JournalConfig

BATCH: Final = 100
#: Orders that the store holds before, over a month: what new ones are compared with.
KNOWN: Final = 300_000
_SENDERS: Final = 4
_PREFIX: Final = "bench-"
#: Share of one core below which a monitor is only waiting, over seconds that hold a tick of the correlator.
_QUIET: Final = 0.15
_LOOK_S: Final = 11.0
_SHIPPED: Final = "clicktrace_shipper_lines_total"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One way through all items."""

    items_per_s: int
    cpu_us_per_item: float
    p50_ms: float
    p99_ms: float


def run(*, size: int, rounds: int) -> dict[str, object]:
    """Items a second: new ones, and the same ones sent again; `lost` is what the journal does not hold exactly once.

    Args:
        size: items of each round.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        data_dir = Path(folder)
        key = _prepare(data_dir)
        fresh: list[Measured] = []
        again: list[Measured] = []
        with running_monitor(data_dir) as monitor:
            _wait_until_shipped(monitor)
            _wait_until_quiet(monitor)
            for number in range(rounds):
                bodies = list(_bodies(number, size))
                fresh.append(_send(bodies, monitor, key, status=201))
                again.append(_send(bodies, monitor, key, status=200))
        held = _journaled(data_dir)
    return {
        "size": size,
        "rounds": rounds,
        "batch": BATCH,
        "senders": _SENDERS,
        "cpus": os.cpu_count(),
        "known": KNOWN,
        "items_per_s": round(median(one.items_per_s for one in fresh)),
        "cpu_us_per_item": round(median(one.cpu_us_per_item for one in fresh), 1),
        "p50_ms": median(one.p50_ms for one in fresh),
        "p99_ms": median(one.p99_ms for one in fresh),
        "again_items_per_s": round(median(one.items_per_s for one in again)),
        "again_cpu_us_per_item": round(median(one.cpu_us_per_item for one in again), 1),
        "lost": abs(held - size * rounds),
    }


def _prepare(data_dir: Path) -> str:
    control = open_control("", data_dir)
    key = KeyRing(control).add("bench", scopes=["ingest", "read"])
    control.dispose()
    writer = JournalWriter(data_dir / "journal", config=JournalConfig(), name="bench")
    now = now_ms()
    chance = random.Random(2)
    times = (now - chance.randrange(30 * DAY_MS) for _ in range(KNOWN))
    writer.append_many(_known(number, ts) for number, ts in enumerate(times))
    writer.close()
    return key


def _known(number: int, ts: int) -> Conversion:
    return Conversion(
        ts=ts,
        source="push",
        fact_id=f"conversion::backend:order:known-{number}",
        conversion_id=f"known-{number}",
        type="order",
        status="confirmed",
        origin="backend",
        value_micros=59_900_000,
        currency="EUR",
        order_id=f"known-{number}",
    )


def _bodies(round_: int, size: int) -> Iterator[bytes]:
    chance = random.Random(round_)
    ts = to_rfc3339(now_ms())
    for start in range(0, size, BATCH):
        yield msgspec.json.encode(
            [
                {
                    "conversion_id": f"{_PREFIX}{round_}-{number}",
                    "type": "order",
                    "status": "confirmed",
                    "value": "59.90",
                    "currency": "EUR",
                    "ts": ts,
                    "click_id": f"{chance.getrandbits(128) | 1:032x}",
                    "order_id": f"{_PREFIX}{round_}-{number}",
                    "email_sha256": f"{chance.getrandbits(256):064x}",
                    "page": f"shop.example/p/{number % 50}",
                }
                for number in range(start, min(start + BATCH, size))
            ]
        )


def _wait_until_shipped(monitor: Monitor) -> None:
    """Until the store holds what was known before: with an empty store there is nothing to compare with."""
    deadline = time.monotonic() + STOP_S
    with httpx.Client(base_url=f"http://127.0.0.1:{monitor.port}", trust_env=False, timeout=STOP_S) as client:
        while time.monotonic() < deadline:
            page = client.get("/metrics").text
            shipped = [float(line.split()[1]) for line in page.splitlines() if line.startswith(_SHIPPED + " ")]
            if shipped and shipped[0] >= KNOWN:
                return
            time.sleep(0.2)
    raise ClicktraceError("the shipper does not catch up")


def _wait_until_quiet(monitor: Monitor) -> None:
    """Until the correlator has matched what was known before, which is not what is measured; at the latest after a minute."""
    deadline = time.monotonic() + STOP_S
    spent = cpu_seconds(monitor.pid)
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        before, spent = spent, cpu_seconds(monitor.pid)
        if spent - before < _QUIET * _LOOK_S:
            return


def _send(bodies: list[bytes], monitor: Monitor, key: str, *, status: int) -> Measured:
    waits: list[float] = []
    failures: list[str] = []
    left = iter(bodies)
    lock = threading.Lock()

    def work() -> None:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        base = f"http://127.0.0.1:{monitor.port}"
        with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=STOP_S) as client:
            while not failures:
                with lock:
                    body = next(left, None)
                if body is None:
                    return
                started = time.monotonic()
                answer = client.post("/api/v1/conversions", content=body)
                waits.append(time.monotonic() - started)
                if answer.status_code != 207 or answer.content.count(b'"status":%d' % status) != body.count(b'"type"'):
                    failures.append(answer.text[:500])

    before, started = cpu_seconds(monitor.pid), time.monotonic()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, spent = time.monotonic() - started, cpu_seconds(monitor.pid) - before
    if failures:
        raise ClicktraceError(f"an item was not answered with {status}: {failures[0]}")
    items = sum(body.count(b'"type"') for body in bodies)
    waits.sort()
    return Measured(
        items_per_s=round(items / seconds),
        cpu_us_per_item=round(spent / items * 1e6, 1),
        p50_ms=round(waits[len(waits) // 2] * 1000, 1),
        p99_ms=round(waits[len(waits) * 99 // 100] * 1000, 1),
    )


def _journaled(data_dir: Path) -> int:
    """How many of the sent orders the journal holds; one that stands there twice counts as none."""
    seen: dict[str, int] = {}
    for segment in list_segments(data_dir / "journal"):
        for line in iter_lines(segment.path):
            if isinstance(line.record, Conversion) and line.record.conversion_id.startswith(_PREFIX):
                seen[line.record.conversion_id] = seen.get(line.record.conversion_id, 0) + 1
    return sum(count == 1 for count in seen.values())
