"""Rows a second of a CSV file into the journal: the whole import, from the first byte read to the last line on the disk.

Beside it, in the same rounds, what anybody would write with the standard library: `csv.DictReader`, a dict, `json.dumps`, a line in a file.
That side validates nothing, stamps nothing and keeps no manifest; the machine's mood hits both alike.
"""

from __future__ import annotations

import csv
import json
import os
import random
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from app.bench.ingest_store import Meter, Spent
from collectors.files.importer import Importer
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.errors import ClicktraceError
from core.journal.writer import JournalWriter
from core.settings import JournalConfig

_NOW: Final = 1_790_000_000_000
_HEADER: Final = "conversion_id,type,status,ts,value,currency,click_id,order_id,email_sha256,page\n"


def run(*, size: int, rounds: int) -> dict[str, object]:
    """Median rows per second of both sides, and the median of their ratio round by round.

    Args:
        size: rows of the file.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as folder:
        file = Path(folder) / "orders.csv"
        _write_orders(file, size)
        ours: list[Spent] = []
        plain: list[Spent] = []
        for turn in range(rounds):
            sides = [(ours, _import), (plain, _copy)]
            for spent, side in sides if turn % 2 == 0 else reversed(sides):
                with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
                    spent.append(side(file, Path(scratch), size))
        file_bytes = file.stat().st_size
    return {
        "size": size,
        "rounds": rounds,
        "file_bytes": file_bytes,
        "cpus": os.cpu_count(),
        "rows_per_s": round(size / median(one.seconds for one in ours)),
        "rows_per_cpu_s": round(size / median(one.cpu for one in ours)),
        "best_rows_per_s": round(size / min(one.seconds for one in ours)),
        "plain_rows_per_s": round(size / median(one.seconds for one in plain)),
        "plain_rows_per_cpu_s": round(size / median(one.cpu for one in plain)),
        "ratio": round(median(b.seconds / a.seconds for a, b in zip(ours, plain, strict=True)), 3),
        "cpu_ratio": round(median(b.cpu / a.cpu for a, b in zip(ours, plain, strict=True)), 3),
        "seconds": [round(one.seconds, 2) for one in ours],
    }


def _import(file: Path, scratch: Path, size: int) -> Spent:
    """What `clicktrace import conversions` does, its manifest and the fsync of the journal included."""
    control = open_control("", scratch)
    meter = Meter()
    journal = JournalWriter(scratch / "journal", config=JournalConfig(), name="bench")
    result = Importer(journal, Checkpoints(control, "imports"), now=_NOW).run("conversions", file)
    journal.close()
    spent = meter.read()
    control.dispose()
    if (result.written, result.bad) != (size, 0):
        raise ClicktraceError(f"{result.written} of {size} rows came into the journal, {result.bad} were refused")
    return spent


def _copy(file: Path, scratch: Path, _size: int) -> Spent:
    meter = Meter()
    with file.open(encoding="utf-8", newline="") as source, (scratch / "plain.ndjson").open("w") as target:
        for row in csv.DictReader(source):
            target.write(json.dumps(row) + "\n")
        target.flush()
        os.fsync(target.fileno())
    return meter.read()


def _write_orders(file: Path, size: int) -> None:
    """Orders as a shop exports them: a click ID, an order number, a hashed address, some 210 bytes a row."""
    chance = random.Random(1)
    with file.open("w") as target:
        target.write(_HEADER)
        for number in range(size):
            day, hour, minute = 1 + number % 20, number % 24, number % 60
            target.write(
                f"o-{number},order,confirmed,2026-09-{day:02}T{hour:02}:{minute:02}:{number * 7 % 60:02}Z,"
                f"{chance.randrange(1_000, 90_000) / 100:.2f},EUR,{chance.getrandbits(128) | 1:032x},o-{number},"
                f"{chance.getrandbits(256):064x},shop.example/p/{number % 50}\n"
            )
