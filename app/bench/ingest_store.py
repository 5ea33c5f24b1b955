"""How fast journal bytes become queryable rows, beside a bare engine insert of the same bytes.

Both sides load the same lines into the same schema in blocks of the same size, in interleaved rounds of one process: the machine's
mood hits both alike. The bare side is given what the shipper has to find out: lines sorted by kind beforehand, no tokens, no
ledger, no check of a line, no count afterwards, and the engine's own default settings.
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from uuid import uuid4

import msgspec

from core.control.engine import open_control
from core.journal.reader import list_segments
from core.journal.segment import read_range
from core.journal.writer import JournalWriter
from core.records import Click, Conversion, Record, Touch
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.shipping.ranges import cut, split_by_kind
from core.store.client import Store, open_store

_START_MS = 1_790_000_000_000
_AGENTS = tuple(
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_{minor} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    f"Version/17.{minor} Mobile/15E148 Safari/604.1"
    for minor in range(40)
)


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Wall-clock seconds, and seconds of CPU of the whole process: the engine's threads included."""

    seconds: float
    cpu: float


class Meter:
    """Starts when it is made."""

    def __init__(self) -> None:
        gc.collect()
        self._seconds, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Spent:
        return Spent(seconds=time.perf_counter() - self._seconds, cpu=time.process_time() - self._cpu)


def run(*, size: int, rounds: int, directory: Path | None = None) -> dict[str, object]:
    """Median lines per second of both sides, and the median of their ratio round by round.

    Args:
        size: journal lines each side loads in each round.
        rounds: both sides once each.
        directory: data directory of the engine; default a temporary one. (One engine directory per process.)
    """
    lines = size
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        home = directory or Path(scratch)
        journal = Path(scratch) / "journal"
        writer = _write_journal(journal, lines=lines)
        shipped: list[Spent] = []
        bare: list[Spent] = []
        for side in (_ship, _insert):
            side(home, journal, lines=lines)  # the first inserts of a process cost more than any later ones
        for turn in range(rounds):
            sides = [(shipped, _ship), (bare, _insert)]
            for spent, side in sides if turn % 2 == 0 else reversed(sides):
                spent.append(side(home, journal, lines=lines))
        writer.close()
    ratios = [one.seconds / other.seconds for one, other in zip(bare, shipped, strict=True)]
    return {
        "lines": lines,
        "rounds": rounds,
        "journal_bytes": writer.stats.bytes,
        "bytes_per_line": round(writer.stats.bytes / lines),
        "range_bytes": Shipper.MAX_RANGE_BYTES,
        "cpus": os.cpu_count(),
        "shipper_seconds": [round(one.seconds, 3) for one in shipped],
        "bare_seconds": [round(one.seconds, 3) for one in bare],
        "shipper_lines_per_s": round(lines / median(one.seconds for one in shipped)),
        "bare_lines_per_s": round(lines / median(one.seconds for one in bare)),
        "shipper_cpu_us_per_line": round(median(one.cpu for one in shipped) / lines * 1e6, 2),
        "bare_cpu_us_per_line": round(median(one.cpu for one in bare) / lines * 1e6, 2),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "cpu_ratio": round(median(one.cpu for one in bare) / median(one.cpu for one in shipped), 3),
    }


def _write_journal(directory: Path, *, lines: int) -> JournalWriter:
    """A journal of one segment. Its writer stays open, so that no housekeeping touches it between the rounds."""
    config = JournalConfig(segment_max_bytes=2**40, segment_max_age_s=2**30)
    writer = JournalWriter(directory, config=config, clock=lambda: _START_MS, name="bench")
    writer.append_many(_records(lines))
    writer.flush()
    return writer


def _ship(home: Path, journal: Path, *, lines: int) -> Spent:
    """From the first look at the journal until every line can be queried, with a ledger of its own."""
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        control = open_control("", Path(scratch))
        store = _fresh_store(home)
        try:
            meter = Meter()
            shipper = Shipper(store, control, journal, config=JournalConfig())
            while shipper.run_once().ranges:
                pass
            spent = meter.read()
            _must_hold(store, lines)
        finally:
            _drop(store)
            control.dispose()
    return spent


def _insert(home: Path, journal: Path, *, lines: int) -> Spent:
    """What the engine needs for the same blocks, handed to it ready."""
    blocks = list(_blocks(journal))
    store = _fresh_store(home)
    try:
        meter = Meter()
        for segment, kind, block in blocks:
            store.raw_insert(
                f"inbox_{kind}", block, settings={"log_comment": segment, "max_insert_block_size": 2_000_000}
            )
        spent = meter.read()
        _must_hold(store, lines)
    finally:
        _drop(store)
    return spent


def _blocks(journal: Path) -> Iterator[tuple[str, str, bytes]]:
    for segment in list_segments(journal):
        data = read_range(segment, start=0)
        at = 0
        while piece := cut(data[at : at + Shipper.MAX_RANGE_BYTES], limit=Shipper.MAX_RANGE_BYTES):
            at += len(piece)
            for kind, lines in split_by_kind(piece)[0].items():
                yield segment.name, kind, b"\n".join(lines)


def _fresh_store(home: Path) -> Store:
    return open_store(StoreConfig(), home, database=f"bench_{uuid4().hex}")


def _must_hold(store: Store, lines: int) -> None:
    counted = sum(
        int(store.query(f"SELECT count() FROM {kind}").column(0)[0].as_py())
        for kind in ("click", "touch", "conversion")
    )
    if counted != lines:
        raise AssertionError(f"{lines} lines were written and {counted} rows can be queried")


def _drop(store: Store) -> None:
    store.command("DROP DATABASE {name:Identifier} SYNC", {"name": store.database})
    store.close()


def _records(lines: int) -> Iterator[Record]:
    """Half clicks with all their fields, two fifths touches, the rest orders: the mix of a shop's journal."""
    chance = random.Random(1)
    for number in range(lines):
        ts = _START_MS + number * 2
        if number % 10 < 5:
            yield _click(number, ts, chance)
        elif number % 10 < 9:
            yield _touch(number, ts, chance)
        else:
            yield _order(number, ts, chance)


def click_records(clicks: int, *, now: int) -> Iterator[Click]:
    """Clicks of the day before `now` (ms), for other measurements."""
    chance = random.Random(1)
    for number in range(clicks):
        yield _click(number, now - chance.randrange(86_400_000), chance)


def _click(number: int, ts: int, chance: random.Random) -> Click:
    campaign = chance.randrange(12)
    return Click(
        ts=ts,
        source="redirect",
        click_id=f"{chance.getrandbits(128) | 1:032x}",
        hit_id=f"{chance.getrandbits(64) | 1:016x}",
        link_id=f"{campaign:032x}",
        link_version=3,
        slug=f"slug-{campaign}",
        domain="go.example",
        http_status=302,
        reason="",
        duration_us=chance.randrange(40, 400),
        page=f"shop.example/p/{campaign % 5}",
        client="acme",
        platform="google",
        campaign=f"google:1:{campaign}",
        ad_group=f"google:1:{campaign}0",
        creative=f"google:1:{campaign}00",
        keyword="running shoes",
        platform_ids={"gclid": f"{chance.getrandbits(256):064x}"},
        utm={"utm_source": "google", "utm_medium": "cpc"},
        visitor_id=f"{chance.getrandbits(128):032x}",
        user_agent=_AGENTS[number % len(_AGENTS)],
        network=f"198.51.{number % 100}.0/24",
        network_hash=f"{chance.getrandbits(64):016x}",
        referrer_host="www.google.com",
        consent="granted",
    )


def _touch(number: int, ts: int, chance: random.Random) -> Touch:
    return Touch(
        ts=ts,
        source="ct.js",
        name=("page_view", "form_start", "form_submit", "web_vital")[number % 4],
        click_id=f"{chance.getrandbits(128) | 1:032x}",
        visitor_id=f"{chance.getrandbits(128):032x}",
        session_id=f"{chance.getrandbits(64):016x}",
        page=f"shop.example/p/{number % 5}",
        value=chance.random(),
        duration_ms=chance.randrange(3000),
        user_agent=_AGENTS[number % len(_AGENTS)],
        attributes={"form": "checkout"},
    )


def _order(number: int, ts: int, chance: random.Random) -> Conversion:
    return Conversion(
        ts=ts,
        source="backend",
        fact_id=f"backend:order:{number}",
        conversion_id=f"o-{number}",
        type="order",
        status="confirmed",
        origin="backend",
        value_micros=chance.randrange(10_000_000, 90_000_000),
        currency="EUR",
        click_id=f"{chance.getrandbits(128) | 1:032x}",
        order_id=f"o-{number}",
        email_sha256=f"{chance.getrandbits(256):064x}",
        user_agent=_AGENTS[number % len(_AGENTS)],
    )
