"""What of the journal's segments is not shipped yet, found without looking at finished ones again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from core.errors import JournalError
from core.journal import segment as segments
from core.journal.segment import Segment
from core.shipping.ledger import Progress
from core.shipping.ranges import Range, cut

#: A directory's mtime is a kernel tick (4 ms): a file made in the tick of our listing would be missed without this.
_MTIME_GRAIN_NS = 50_000_000


class Tail:
    """A segment that is not, or may not be, in the store as a whole. Only the shipper's thread touches it."""

    __slots__ = (
        "final",
        "looked_to",
        "pending_since",
        "recorded_at",
        "segment",
        "shipped",
        "size",
        "suspect_until",
        "under_way",
    )

    def __init__(self, segment: Segment, *, progress: Progress) -> None:
        self.segment = segment
        self.shipped = progress.end
        self.under_way = progress.under_way
        self.size = 0
        self.looked_to = -1
        self.final = False
        #: Of a recorded and unconfirmed range, when it was recorded; up to where the store may know the segment already.
        self.recorded_at = progress.recorded_at
        self.suspect_until = progress.under_way.end if progress.under_way else 0
        self.pending_since = 0

    @property
    def behind(self) -> int:
        """Bytes not shipped, a line under the writer's pen included."""
        return max(self.size - self.shipped, 0)

    @property
    def worth_reading(self) -> bool:
        return self.behind > 0 and (self.size != self.looked_to or self.under_way is not None)


class Tails:
    """The unfinished segments of one journal directory, remembered between runs."""

    def __init__(
        self, directory: Path, *, clean: Callable[[str, bytes, int], bytes] = lambda name, data, start: data
    ) -> None:
        """`clean` takes a segment's name, bytes and their offset, and gives as many bytes: what was erased is not shipped."""
        self._directory = directory
        self._clean = clean
        self._progress: Mapping[str, Progress] = {}
        self._tails: dict[str, Tail] = {}
        self._finished: set[str] = set()
        self._listed_mtime = -1
        self._unpacked: tuple[str, bytes] = ("", b"")

    def begin(self, progress: Mapping[str, Progress]) -> None:
        """Start from what the ledger knows."""
        self._progress = progress

    def look(self) -> list[Tail]:
        """Every unfinished segment with its present size, oldest first. An idle journal costs one stat and little more.

        Raises:
            JournalError: the journal cannot be read.
        """
        try:
            self._list_if_changed()
            for tail in list(self._tails.values()):
                self._measure(tail)
        except OSError as error:
            raise JournalError(f"{error.filename}: {error.strerror}") from error
        return list(self._tails.values())

    def _list_if_changed(self) -> None:
        if not self._directory.exists():
            return
        mtime = self._directory.stat().st_mtime_ns
        if mtime == self._listed_mtime:
            return
        settled = time.time_ns() - mtime > _MTIME_GRAIN_NS
        found = {segment.name: segment for segment in segments.list_segments(self._directory)}
        for name, segment in found.items():
            if name in self._tails:
                self._tails[name].segment = segment
            elif name not in self._finished:
                self._tails[name] = Tail(segment, progress=self._progress.get(name, Progress()))
        for name in set(self._tails) - set(found):
            del self._tails[name]
        self._finished &= set(found)
        self._listed_mtime = mtime if settled else -1

    def _measure(self, tail: Tail) -> None:
        # In this order: once no writer holds the segment its size is its last, and a line that was under the pen is in it.
        tail.final = tail.final or segments.is_final(tail.segment)
        tail.pending_since = 0 if tail.final else segments.pending_since(tail.segment)
        tail.size = segments.size(tail.segment)
        if tail.final and tail.behind == 0:
            self.finish(tail)

    def finish(self, tail: Tail) -> None:
        """Nothing of this segment is left to ship; it is not looked at again."""
        self._tails.pop(tail.segment.name, None)
        self._finished.add(tail.segment.name)

    def finished(self) -> frozenset[str]:
        """Names of the segments that are final and in this store as a whole."""
        return frozenset(self._finished)

    def next_range(self, tail: Tail, *, limit: int) -> tuple[Range, bytes] | None:
        """The next range of a segment and its bytes; None when no whole line is there.

        A range that was recorded and not confirmed comes again with the same limits.
        """
        again = tail.under_way
        if again is not None and again.end <= tail.size:
            return again, self._clean(again.segment, self._read(tail, start=again.start, end=again.end), again.start)
        # The recorded range is gone only when a power cut took the segment's last bytes with it.
        tail.under_way = None
        found = self.range_at(tail, start=tail.shipped, limit=limit)
        if found is None:
            tail.looked_to = tail.size
        return found

    def range_at(self, tail: Tail, *, start: int, limit: int) -> tuple[Range, bytes] | None:
        """The range that begins there and its bytes; None when no whole line is there."""
        data = cut(self._read(tail, start=start, end=min(tail.size, start + limit)), limit=limit)
        if not data and tail.size > start + limit:
            data = cut(self._read(tail, start=start, end=tail.size), limit=limit)
        if not data:
            return None
        one = Range(segment=tail.segment.name, start=start, end=start + len(data), lines=data.count(b"\n"))
        return one, self._clean(one.segment, data, start)

    def rest(self, tail: Tail, *, limit: int) -> bytes:
        """What stands behind the last shipped byte, at most `limit` bytes of it."""
        data = self._read(tail, start=tail.shipped, end=min(tail.size, tail.shipped + limit))
        return self._clean(tail.segment.name, data, tail.shipped)

    def _read(self, tail: Tail, *, start: int, end: int) -> bytes:
        try:
            if not tail.segment.compressed:
                return segments.read_range(tail.segment, start=start, end=end)
            if self._unpacked[0] != tail.segment.name:
                self._unpacked = (tail.segment.name, segments.read_range(tail.segment, start=0))
            return self._unpacked[1][start:end]
        except OSError as error:
            raise JournalError(f"{tail.segment.path}: {error.strerror}") from error
