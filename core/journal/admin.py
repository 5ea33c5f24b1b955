"""What people ask of a journal: its state, whether the store agrees with it, and to load it anew. Plain results; `app/cli` prints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from core.clock import Clock, now_ms
from core.erasure.lines import clean
from core.erasure.tombstones import TombstoneBook, Tombstones
from core.journal import segment as segments
from core.journal.dead_letter import Redriven, offsets, redrive, waiting
from core.journal.segment import Segment, created_ms, list_segments
from core.settings import JournalConfig
from core.shipper import Shipper, ShipReport
from core.shipping.ledger import ShipLedger
from core.shipping.load import Loader
from core.shipping.ranges import Range, sort
from core.store.client import Store

__all__ = ["JournalState", "Mismatch", "Rebuilt", "Redriven", "Verified", "rebuild_store", "redrive", "stat", "verify"]


class JournalState(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes of the plain form, except `disk_bytes`; `oldest` and `newest` are when segments were begun, ms."""

    segments: int
    compressed: int
    being_written: int
    journal_bytes: int
    disk_bytes: int
    unshipped_bytes: int
    oldest: int | None
    newest: int | None
    dead_letters: dict[str, int]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """The store does not have exactly the lines of a segment; offsets are the first few."""

    segment: str
    kind: str
    lines: int
    rows: int
    missing: list[int]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the shipped part of every kept segment is in the store exactly once."""

    segments: int
    lines: int
    bad_lines: int
    unshipped_bytes: int
    mismatches: list[Mismatch]

    @property
    def ok(self) -> bool:
        return not self.mismatches


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A store loaded anew from the kept segments; nothing older than `oldest` (ms) can come back."""

    lines: int
    bytes: int
    dead_letters: int
    seconds: float
    oldest: int | None


def stat(directory: Path, control: Engine, *, store_id: str) -> JournalState:
    """The journal's segments, what one store lacks of them, and the dead letters that wait, by reason."""
    found = list_segments(directory)
    progress = ShipLedger(control, store_id=store_id).progress()
    sizes = {one.name: segments.size(one) for one in found}
    unshipped = sum(size - progress[name].end if name in progress else size for name, size in sizes.items())
    return JournalState(
        segments=len(found),
        compressed=sum(one.compressed for one in found),
        being_written=sum(not segments.is_final(one) for one in found),
        journal_bytes=sum(sizes.values()),
        disk_bytes=sum(one.path.stat().st_size for one in found),
        unshipped_bytes=unshipped,
        oldest=created_ms(found[0].name) if found else None,
        newest=created_ms(found[-1].name) if found else None,
        dead_letters=dict(Counter(letter.reason for letter in waiting(control))),
    )


def verify(
    directory: Path, store: Store, control: Engine, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Compare every kept segment's shipped lines with the store's rows, kind by kind and offset by offset.

    Args:
        progress: called with (segments done, segments in all).
    """
    shipped = ShipLedger(control, store_id=store.store_id).progress()
    loader = Loader(store)
    book = TombstoneBook(control)
    book.refresh()
    found = list_segments(directory)
    lines = bad = unshipped = 0
    mismatches: list[Mismatch] = []
    for done, one in enumerate(found):
        end = shipped[one.name].end if one.name in shipped else 0
        unshipped += max(segments.size(one) - end, 0)
        counted, refused, wrong = _verify_segment(one, loader, control, book.all, end=end)
        lines, bad = lines + counted, bad + refused
        mismatches += wrong
        progress(done + 1, len(found))
    return Verified(segments=len(found), lines=lines, bad_lines=bad, unshipped_bytes=unshipped, mismatches=mismatches)


def _verify_segment(
    one: Segment, loader: Loader, control: Engine, erased: Tombstones, *, end: int
) -> tuple[int, int, list[Mismatch]]:
    """(lines, bad lines, mismatches) of one segment up to `end`. What is erased and still stands in a segment under the pen is not missing."""
    data = clean(segments.read_range(one, start=0, end=end), erased).data
    whole = Range(segment=one.name, start=0, end=end, lines=data.count(b"\n"))
    good, bad = sort(whole, data)
    refused = offsets(control, one.name)
    wrong: list[Mismatch] = []
    rows = loader.counts(whole, list(good))
    for kind, placed in good.items():
        expected = {line.o for line in placed} - refused
        missing = sorted(expected - loader.present(whole, kind))
        if missing or rows[kind] != len(expected):
            wrong.append(
                Mismatch(segment=one.name, kind=kind, lines=len(expected), rows=rows[kind], missing=missing[:10])
            )
    return whole.lines, len(bad), wrong


def rebuild_store(
    store: Store,
    control: Engine,
    directory: Path,
    *,
    config: JournalConfig,
    clock: Clock = now_ms,
    progress: Callable[[ShipReport], None] = lambda report: None,
) -> Rebuilt:
    """Empty the store and load every kept segment into it. Replayed lines trigger nothing.

    Cut short, it is finished by the next shipper: the emptied store is another store, and what it has is found by offset.

    Raises:
        StoreError: the store did not take it.
    """
    started = time.monotonic()
    found = list_segments(directory)
    store.wipe()
    shipper = Shipper(store, control, directory, config=config, clock=clock)
    lines = size = dead = 0
    while True:
        report = shipper.run_once()
        lines, size, dead = lines + report.lines, size + report.bytes, dead + report.dead_letters
        progress(report)
        if not report.ranges:
            break
    return Rebuilt(
        lines=lines,
        bytes=size,
        dead_letters=dead,
        seconds=time.monotonic() - started,
        oldest=created_ms(found[0].name) if found else None,
    )
