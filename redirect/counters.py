"""Plain counters of a worker in shared memory: the hot path adds to a slot, `monitor` reads the file (design §5).

A file `<data_dir>/counters/redirect-<index>` holds a header (magic, layout) and one unsigned 64-bit slot per name. A restarted
worker goes on counting where the last one stopped, so Prometheus sees no reset. One process writes a file, any number read it. Where the file
cannot be made the worker redirects all the same, and its counts are not seen.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from bisect import bisect_left
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import structlog

from redirect.reasons import OUTCOMES, PARAMETER_SIGNALS

log = structlog.get_logger(__name__)

#: Upper bounds of the duration histogram are 2^k microseconds, k = 0 … 22; the last bucket is open.
BUCKETS: Final = 24
_PLAIN: Final = (
    "bytes_sent",
    "connections_opened",
    "connections_open",
    "journal_writes",
    "journal_errors",
    "unjournaled",
    "lost",
    "fsync_failures",
    "ring_bytes",
    "links",
    "links_bytes",
    "links_reads",
    "links_refreshed_ms",
    "links_failures",
    "started_ms",
    "duration_us_sum",
)
#: What describes the present worker and starts from zero with each.
GAUGES: Final = frozenset(
    ("connections_open", "ring_bytes", "links", "links_bytes", "links_refreshed_ms", "started_ms")
)
NAMES: Final[tuple[str, ...]] = (
    *_PLAIN,
    *(f"outcome:{outcome}" for outcome in OUTCOMES),
    *(f"signal:{signal}" for signal in PARAMETER_SIGNALS),
    *(f"bucket:{index}" for index in range(BUCKETS)),
)
SLOT: Final[dict[str, int]] = {name: index for index, name in enumerate(NAMES)}
OUTCOME_SLOT: Final[dict[str, int]] = {outcome: SLOT[f"outcome:{outcome}"] for outcome in OUTCOMES}
SIGNAL_SLOT: Final[dict[str, int]] = {signal: SLOT[f"signal:{signal}"] for signal in PARAMETER_SIGNALS}
FIRST_BUCKET: Final = SLOT["bucket:0"]
_DURATION_SUM: Final = SLOT["duration_us_sum"]

#: A file of another layout is started anew: its slots would be read under wrong names.
_MAGIC: Final = b"CTCNT001" + sha256("\n".join(NAMES).encode()).digest()[:8]
_SIZE: Final = len(_MAGIC) + 8 * len(NAMES)


class WorkerCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker's file says: value by name."""

    index: int
    values: dict[str, int]


class Counters:
    """A worker's own counters. `slots[SLOT[name]] += 1` is the whole cost on the hot path."""

    def __init__(self, data_dir: Path, *, index: int) -> None:
        try:
            self._map = _map(_path(data_dir, index))
        except OSError as error:
            # A full disk, or a directory that may not be written, must not keep a worker from redirecting.
            log.error("counters are kept in this worker's memory only", error=str(error))
            self._map = mmap.mmap(-1, _SIZE)
        self._view = memoryview(self._map)
        self.slots = self._view[len(_MAGIC) :].cast("Q")
        for name in GAUGES:
            self.slots[SLOT[name]] = 0

    def add(self, name: str, amount: int = 1) -> None:
        self.slots[SLOT[name]] += amount

    def set(self, name: str, value: int) -> None:
        self.slots[SLOT[name]] = value

    def observe(self, starts: list[float], *, end: float) -> None:
        """Count the durations of requests that began at `starts` and all ended at `end` (monotonic seconds).

        Sorted, those of one bucket are neighbours: one addition in shared memory for each bucket, not for each request.
        """
        if len(starts) > 1:
            starts.sort()
        self.slots[_DURATION_SUM] += int((end * len(starts) - sum(starts)) * 1e6)
        at = 0
        while at < len(starts):
            bucket = bucket_of(int((end - starts[at]) * 1e6))
            following = at + 1
            if following < len(starts):
                # Whoever began after half of the bucket's bound has a smaller bucket.
                following = bisect_left(starts, end - (1 << bucket >> 1) / 1e6, following) if bucket else len(starts)
            self.slots[FIRST_BUCKET + bucket] += following - at
            at = following

    def close(self) -> None:
        """Release the mapping; what was counted stays in the file."""
        self.slots.release()
        self._view.release()
        self._map.close()


def _map(path: Path) -> mmap.mmap:
    """The file, mapped. A new one is written before it is mapped: writing into a hole of it would kill the process when the disk is full.

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.pread(fd, len(_MAGIC), 0) != _MAGIC or os.fstat(fd).st_size != _SIZE:
            os.ftruncate(fd, 0)
            if os.pwrite(fd, _MAGIC + bytes(_SIZE - len(_MAGIC)), 0) != _SIZE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mmap.mmap(fd, _SIZE)
    finally:
        os.close(fd)


def bucket_of(duration_us: int) -> int:
    """Index of the histogram bucket: the smallest k with duration <= 2^k us."""
    return min((duration_us - 1).bit_length() if duration_us > 1 else 0, BUCKETS - 1)


def read_all(data_dir: Path) -> list[WorkerCounters]:
    """The counters of every worker that ever ran on this data directory, by index. A file of another layout is left out."""
    found = [_read(path) for path in sorted((data_dir / "counters").glob("redirect-*"))]
    return [counters for counters in found if counters is not None]


def _read(path: Path) -> WorkerCounters | None:
    try:
        data = path.read_bytes()
        index = int(path.name.removeprefix("redirect-"))
    except (OSError, ValueError):
        return None
    if len(data) != _SIZE or not data.startswith(_MAGIC):
        return None
    values = struct.unpack_from(f"={len(NAMES)}Q", data, len(_MAGIC))
    return WorkerCounters(index=index, values=dict(zip(NAMES, values, strict=True)))


def _path(data_dir: Path, index: int) -> Path:
    return data_dir / "counters" / f"redirect-{index}"
