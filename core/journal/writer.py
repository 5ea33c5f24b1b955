"""Appends records to the journal: in the page cache before the call returns, on the disk within the fsync interval.

What was appended survives SIGKILL. When the disk refuses (full, read-only, broken) lines wait in a bounded memory ring and are
counted `unjournaled`; they are written, stamped anew, as soon as the disk takes them again. What the ring cannot hold is `lost`.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from core.clock import Clock, now_ms
from core.errors import JournalError
from core.journal import segment as segments
from core.records import SCHEMA_VERSION, Record

log = structlog.get_logger(__name__)

_CHUNK_BYTES = 1 << 20
#: A clock that steps back by less is held; by more, it is believed, in a new segment: known_at never falls within one.
_HELD_STEP_MS = 60_000
_IDLE_WAKE_S = 1.0
_MIN_REST_MS = 10
_encode = msgspec.json.Encoder().encode
_PENDING = struct.Struct("<Q")


class JournalOptions(Protocol):
    """What the writer reads of `core.settings.JournalConfig`; a plain struct on the hot path."""

    @property
    def fsync_interval_ms(self) -> int: ...
    @property
    def segment_max_bytes(self) -> int: ...
    @property
    def segment_max_age_s(self) -> int: ...
    @property
    def ring_max_bytes(self) -> int: ...


class JournalStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the writer was made; `ring_lines` and `ring_bytes` are what waits now."""

    appended: int
    bytes: int
    unjournaled: int
    lost: int
    ring_lines: int
    ring_bytes: int
    last_error: str


class _Open:
    """The segment being written. Only the writer's lock holder touches it."""

    __slots__ = ("began", "fd", "name", "offset", "pending")

    def __init__(self, directory: Path, *, now: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = segments.new_name(now)
        self.pending = segments.make_pending(directory, self.name)
        try:
            _, self.fd = segments.create(directory, now=now, name=self.name)
        except OSError:
            # Nothing stays behind: while the disk refuses, this is tried again and again.
            self.pending.close()
            _removed(segments.pending_path(directory, self.name))
            raise
        self.offset = 0
        self.began = now

    def announce(self, now: int) -> None:
        """Say that a line stamped at `now` or later is being written; 0 says that none is."""
        _PENDING.pack_into(self.pending, 0, now)


#: A record encoded as JSON, and the `known_at` its caller claims (None: the writer's own clock).
_Body = tuple[bytes, int | None]


class JournalWriter:
    """One writer; any number of threads may use it. Each process makes its own on the same directory."""

    def __init__(self, directory: Path, *, config: JournalOptions, clock: Clock = now_ms, name: str = "") -> None:
        self.name = name
        self._directory = directory
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        #: One fsync at a time: whoever waits for it knows that nothing taken before is still on its way.
        self._sync_lock = threading.Lock()
        self._commit_failures = 0
        self._open: _Open | None = None
        self._retired: list[_Open] = []
        #: Marks of segments that are closed, which the disk did not let us remove. They say that nothing is being written.
        self._marks_left: list[Path] = []
        self._ring: deque[_Body] = deque()
        self._ring_bytes = 0
        self._known_at = 0
        self._appended = self._bytes = self._unjournaled = self._lost = 0
        self._last_error = ""
        self._dirty = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._closed = False
        directory.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._sync_loop, name=f"journal-{name or 'writer'}", daemon=True)
        self._thread.start()

    # --- appending -----------------------------------------------------------------------------------------------------------

    def append(self, record: Record, *, known_at: int | None = None) -> None:
        """Append one record. On return it survives SIGKILL, or waits in the ring and is counted.

        Raises:
            JournalError: the writer is closed.
        """
        self._append([(_encode(record), known_at)])

    def append_many(self, records: Iterable[Record], *, known_at: Iterable[int] | None = None) -> int:
        """Append records, a megabyte a write; returns how many. `known_at` claims one per record (imports of history)."""
        count = 0
        claims: Iterable[int | None] = repeat(None) if known_at is None else known_at
        for chunk in _chunks(records, claims):
            self._append(chunk)
            count += len(chunk)
        return count

    def append_encoded(self, bodies: Sequence[bytes], *, known_at: Sequence[int] | None = None) -> None:
        """Append records that are already encoded (`msgspec.json.encode(record)`), all in one write.

        `known_at` claims one per record (imports of history).
        """
        if known_at is None:
            self._append([(body, None) for body in bodies])
        else:
            self._append(list(zip(bodies, known_at, strict=True)))

    def _append(self, bodies: list[_Body]) -> None:
        with self._lock:
            if self._closed:
                raise JournalError("the journal writer is closed")
            # Order is kept: while older lines wait in the ring, newer ones queue behind them.
            written = 0 if self._ring else self._write(bodies)
            if written < len(bodies):
                self._to_ring(bodies[written:])

    def _write(self, bodies: Sequence[_Body]) -> int:
        """Write in order; how many lines are in the journal. Fewer than given means the disk refused."""
        done = fruitless = 0
        try:
            # A short write says no reason; the next one does. The bound is for a disk that never gives one.
            while done < len(bodies) and fruitless < 2:
                now = self._clock()
                target = self._target(now)
                target.announce(now)
                try:
                    rest = bodies[done:] if done else bodies
                    blob = self._compose(rest, now=now, offset=target.offset)
                    taken = self._write_blob(target, blob, lines=len(rest))
                finally:
                    target.announce(0)
                done += taken
                fruitless = 0 if taken else fruitless + 1
            if self._config.fsync_interval_ms == 0 and self._open is not None:
                os.fdatasync(self._open.fd)
        except OSError as error:
            self._last_error = f"{error.strerror} (errno {error.errno})"
            return done
        self._last_error = "" if done == len(bodies) else "the disk takes no whole line"
        return done

    def _compose(self, bodies: Sequence[_Body], *, now: int, offset: int) -> bytes:
        """Close each record with its envelope: version, known_at, and the offset at which its line will stand."""
        stamped = _envelope(self._stamp(now), claimed=False)
        parts: list[bytes] = []
        for body, claim in bodies:
            envelope = stamped if claim is None else _envelope(claim, claimed=True)
            end = b"%d}\n" % offset
            parts += (body[:-1], envelope, end)
            offset += len(body) - 1 + len(envelope) + len(end)
        return b"".join(parts)

    def _write_blob(self, target: _Open, blob: bytes, *, lines: int) -> int:
        """One write of whole lines; after a short one the file is cut back to its last whole line before anything else.

        Returns how many lines are in the file, possibly none.

        Raises:
            OSError: the disk refuses; nothing was written.
        """
        try:
            size = os.write(target.fd, blob)
        except OSError:
            self._cut(target, size=target.offset)
            raise
        taken = lines
        if size < len(blob):
            taken = blob.count(b"\n", 0, size)
            size = blob.rfind(b"\n", 0, size) + 1
            self._cut(target, size=target.offset + size)
        target.offset += size
        self._appended += taken
        self._bytes += size
        if not self._dirty and size:
            self._dirty = True
            self._wake.set()
        return taken

    def _cut(self, target: _Open, *, size: int) -> None:
        """Cut the segment to `size`; one that cannot be cut is given up, its torn tail is the reader's to skip."""
        try:
            os.ftruncate(target.fd, size)
        except OSError:
            self._retire()

    def _stamp(self, now: int) -> int:
        if not 0 < self._known_at - now < _HELD_STEP_MS:
            self._known_at = now
        return self._known_at

    # --- segments ------------------------------------------------------------------------------------------------------------

    def _target(self, now: int) -> _Open:
        """The segment to write to; a new one when there is none or the present one is full or old."""
        if self._open is not None and self._is_due(self._open, now=now):
            self._retire()
        if self._open is None:
            self._open = _Open(self._directory, now=now)
        return self._open

    def _is_due(self, current: _Open, *, now: int) -> bool:
        age_ms = now - current.began
        return (
            current.offset >= self._config.segment_max_bytes
            or abs(age_ms)
            >= self._config.segment_max_age_s * 1000  # abs: a clock that was set back ages a segment, too
            or self._known_at - now >= _HELD_STEP_MS  # the next stamp would fall below those of this segment
        )

    def _retire(self) -> None:
        """Stop writing to the present segment; the sync thread flushes and releases it."""
        if self._open is not None:
            self._retired.append(self._open)
            self._open = None
            self._wake.set()

    # --- when the disk refuses -----------------------------------------------------------------------------------------------

    def _to_ring(self, bodies: Sequence[_Body]) -> None:
        for body in bodies:
            if self._ring_bytes + len(body[0]) > self._config.ring_max_bytes:
                self._lost += 1
                continue
            self._ring.append(body)
            self._ring_bytes += len(body[0])
            self._unjournaled += 1
        self._wake.set()

    def _drain(self) -> None:
        """Write what waits in the ring, oldest first, as far as the disk takes it."""
        while self._ring:
            chunk = list(_upto(self._ring, _CHUNK_BYTES))
            written = self._write(chunk)
            for _ in range(written):
                self._ring_bytes -= len(self._ring.popleft()[0])
            if written < len(chunk):
                return

    # --- durability ----------------------------------------------------------------------------------------------------------

    def _sync_loop(self) -> None:
        """Sleep until something is dirty, sync, rest for the interval: what comes meanwhile shares one fsync."""
        rest_s = max(self._config.fsync_interval_ms, _MIN_REST_MS) / 1000
        while not self._stopping.is_set():
            self._wake.wait(_IDLE_WAKE_S)
            self._wake.clear()
            try:
                self._sync()
            except Exception:  # nobody else drains the ring: whatever it is, this thread goes on and tries again
                log.exception("a journal writer could not sync", writer=self.name)
            self._stopping.wait(rest_s)

    def _sync(self) -> None:
        """Drain the ring, rotate an old segment, fsync what is dirty; the fsync itself runs outside the lock."""
        with self._sync_lock:
            self._sync_alone()

    def _sync_alone(self) -> None:
        with self._lock:
            if self._ring:
                self._drain()
                if self._ring:
                    self._wake.set()
            if self._open is not None and self._is_due(self._open, now=self._clock()):
                self._retire()
            retired, self._retired = self._retired, []
            dirty = self._take_dirty()
        for fd in dirty:
            self._fsync_and_close(fd)
        for old in retired:
            self._fsync_and_close(old.fd)
            old.pending.close()
            self._marks_left.append(segments.pending_path(self._directory, old.name))
        self._marks_left = [mark for mark in self._marks_left if not _removed(mark)]

    def _take_dirty(self) -> list[int]:
        """The present segment's descriptor to sync, if it is dirty: one of its own, because the segment may be retired meanwhile."""
        if self._open is None or not self._dirty:
            self._dirty = False
            return []
        try:
            fd = os.dup(self._open.fd)
        except OSError as error:  # too many open files: it stays dirty, and the next round tries again
            self._last_error = f"{error.strerror} (errno {error.errno})"
            self._commit_failures += 1
            return []
        self._dirty = False
        return [fd]

    def _fsync_and_close(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError as error:
            with self._lock:
                # After a failed fsync the kernel may have dropped the pages: nothing more goes into that file.
                self._last_error = f"fsync: {error.strerror} (errno {error.errno})"
                self._commit_failures += 1
                self._retire()
        finally:
            os.close(fd)

    def flush(self) -> None:
        """Drain the ring as far as possible and fsync, now."""
        self._sync()

    def commit(self) -> bool:
        """Return when everything appended before is on the disk; False when that failed for any of it since the last commit.

        One thread may commit. An fsync of the sync thread that is under way is waited for: it may carry what we must have.
        """
        self._sync()
        with self._lock:
            failures, self._commit_failures = self._commit_failures, 0
            return not failures and not self._ring

    def close(self) -> None:
        """Flush, release the segment, stop the thread. May be called twice. What the ring still holds is lost, and counted."""
        with self._lock:
            if self._closed:
                return
            if self._ring:
                self._drain()
            self._lost += len(self._ring)
            self._ring.clear()
            self._ring_bytes = 0
            self._retire()
            self._closed = True
        self._stopping.set()
        self._wake.set()
        self._sync()
        self._thread.join(timeout=5)

    # --- state ---------------------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> JournalStats:
        return JournalStats(
            appended=self._appended,
            bytes=self._bytes,
            unjournaled=self._unjournaled,
            lost=self._lost,
            ring_lines=len(self._ring),
            ring_bytes=self._ring_bytes,
            last_error=self._last_error,
        )

    @property
    def healthy(self) -> bool:
        """False while lines wait in memory or the last write or fsync failed."""
        return not self._ring and not self._last_error


def _removed(mark: Path) -> bool:
    try:
        mark.unlink(missing_ok=True)
    except OSError:  # a directory that may not be written for the moment
        return False
    return True


def _envelope(known_at: int, *, claimed: bool) -> bytes:
    """From the record's last field to the offset."""
    return b',%b"v":%d,"known_at":%d,"o":' % (b'"claimed":true,' if claimed else b"", SCHEMA_VERSION, known_at)


def _chunks(records: Iterable[Record], claims: Iterable[int | None]) -> Iterator[list[_Body]]:
    chunk: list[_Body] = []
    size = 0
    for record, claim in zip(records, claims, strict=False):
        body = _encode(record)
        chunk.append((body, claim))
        size += len(body)
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _upto(bodies: Iterable[_Body], limit: int) -> Iterator[_Body]:
    size = 0
    for body in bodies:
        yield body
        size += len(body[0])
        if size >= limit:
            return
