"""Takes erased people out of a journal's segments, each by a new generation, and looks whether any is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from core.erasure.lines import clean
from core.erasure.tombstones import Tombstones
from core.journal import segment as segments
from core.journal.segment import Segment, list_segments

Paused = Callable[[], AbstractContextManager[None]]


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass over a journal did. `waiting` segments are being written and hold lines that must go once they are final."""

    rewritten: int = 0
    erased: dict[str, int] = {}
    waiting: int = 0


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What a search through a journal saw: every line of every segment, the one under the pen included; `found` should be 0."""

    segments: int
    lines: int
    found: int


def sweep(directory: Path, tombstones: Tombstones, *, paused: Paused, only: Collection[str] | None = None) -> Swept:
    """Rewrite every final segment that holds something erased. Cut short, it is begun again: what is done is found clean.

    Args:
        paused: while inside, nobody else ships, compresses or drops segments of this journal.
        only: names of the segments to look at; all when None.

    Raises:
        OSError: the disk refuses.
    """
    erased: Counter[str] = Counter()
    rewritten = waiting = 0
    for segment in list_segments(directory):
        if only is not None and segment.name not in only:
            continue
        # In this order: what is final when it is read has no further lines.
        final = segments.is_final(segment)
        _drop_leftovers(segment, paused=paused)
        found = _cleaned(segment, tombstones)
        if not found or not found.erased:
            continue
        if not final:
            waiting += 1
            continue
        with paused():
            erased.update(_rewrite(segment, tombstones))
            rewritten += 1
    return Swept(rewritten=rewritten, erased=dict(erased), waiting=waiting)


def search(directory: Path, tombstones: Tombstones) -> Searched:
    """Read the whole journal and count the lines that should not be there."""
    seen = lines = found = 0
    for segment in list_segments(directory):
        looked_at = _cleaned(segment, tombstones)
        if looked_at is not None:
            seen, lines, found = seen + 1, lines + looked_at.lines, found + sum(looked_at.erased.values())
    return Searched(segments=seen, lines=lines, found=found)


class _Looked(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    lines: int
    erased: dict[str, int]


def _cleaned(segment: Segment, tombstones: Tombstones) -> _Looked | None:
    """A segment's bytes without the erased; None when it was dropped meanwhile."""
    try:
        data = segments.read_range(segment, start=0)
    except FileNotFoundError:
        return None
    found = clean(data, tombstones)
    return _Looked(data=found.data, lines=found.lines, erased=found.erased)


def _rewrite(segment: Segment, tombstones: Tombstones) -> dict[str, int]:
    """The segment as it is now, compressed or not, in a new generation; erased lines by kind."""
    for present in list_segments(segment.path.parent):
        if present.name == segment.name:
            found = _cleaned(present, tombstones)
            if found is not None and found.erased:
                segments.rewrite(present, found.data)
                return found.erased
    return {}


def _drop_leftovers(segment: Segment, *, paused: Paused) -> None:
    """What killed work left beside a segment is of its old generation: half a compression, a compressed form that does not count."""
    if segments.leftovers(segment):
        with paused():
            for left in segments.leftovers(segment):
                left.unlink(missing_ok=True)
