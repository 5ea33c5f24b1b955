"""Segments: the files a journal is made of.

A segment is ``<UUIDv7>.ndjson`` while it is written and after, ``<UUIDv7>.ndjson.zst`` once compressed. Its writer holds an
exclusive `flock` on it for as long as it may append; the kernel drops the lock with the process, however that ends. So a segment
without a lock is final, and nobody needs to leave a note saying so.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import zstandard

PLAIN = ".ndjson"
COMPRESSED = ".ndjson.zst"
_NEW = ".new"  # a segment gets its name only after it is locked, or a reader could take it for a dead one
_ERASING = ".erasing"  # a new generation of a segment, until it is whole


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment on disk; `name` is its UUID, the same before and after compression."""

    name: str
    path: Path
    compressed: bool


def new_name(now: int) -> str:
    """A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (now & (2**48 - 1)) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return str(uuid.UUID(int=value))


def created_ms(name: str) -> int:
    """The millisecond at which the segment of this name was begun, by its writer's clock."""
    return uuid.UUID(name).int >> 80


def parse(path: Path) -> Segment | None:
    """The segment a file is, or None for a file that is none."""
    for suffix, compressed in ((COMPRESSED, True), (PLAIN, False)):
        if path.name.endswith(suffix):
            name = path.name.removesuffix(suffix)
            if len(name) == 36 and not name.startswith("."):
                return Segment(name=name, path=path, compressed=compressed)
    return None


def list_segments(directory: Path) -> list[Segment]:
    """All segments of a journal in the order they were begun; the plain file wins while both forms exist."""
    found: dict[str, Segment] = {}
    try:
        entries = [Path(entry.path) for entry in os.scandir(directory)]
    except FileNotFoundError:
        return []
    for path in entries:
        segment = parse(path)
        if segment and (not segment.compressed or segment.name not in found):
            found[segment.name] = segment
    return [found[name] for name in sorted(found)]


def pending_path(directory: Path, name: str) -> Path:
    """Where the writer of a segment says that a line is under its pen."""
    return directory / f".{name}.pending"


def make_pending(directory: Path, name: str) -> mmap.mmap:
    """The writer's side: eight shared bytes, 0 or a time before the stamp of the line being written.

    With it a reader knows, without asking the writer, that nothing stamped before a given time can still appear. The bytes are written before
    they are mapped: on a full disk that is an error, while writing into a mapped hole would kill the process (SIGBUS).

    Raises:
        OSError: the disk refuses; nothing stays behind.
    """
    path = pending_path(directory, name)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.pwrite(fd, bytes(8), 0)
        return mmap.mmap(fd, 8)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def pending_since(segment: Segment) -> int:
    """A time before the stamp of the line that a live writer is writing; 0 when none is."""
    try:
        fd = os.open(pending_path(segment.path.parent, segment.name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return int.from_bytes(os.read(fd, 8), "little")
    finally:
        os.close(fd)


def create(directory: Path, *, now: int, name: str = "") -> tuple[str, int]:
    """Begin a segment: (name, descriptor opened for appending and locked). Without a name it gets one of `now`.

    Raises:
        OSError: the disk refuses.
    """
    directory.mkdir(parents=True, exist_ok=True)
    name = name or new_name(now)
    fresh = directory / f".{name}{PLAIN}{_NEW}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(directory / f"{name}{PLAIN}")
    except OSError:
        os.close(fd)
        fresh.unlink(missing_ok=True)
        raise
    return name, fd


def is_final(segment: Segment) -> bool:
    """True when nobody can append any more: compressed, or no writer holds it."""
    if segment.compressed:
        return True
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return False
        raise
    finally:
        os.close(fd)
    return True


def read_range(segment: Segment, *, start: int, end: int | None = None) -> bytes:
    """The bytes [start, end) of a segment, in offsets of the plain form; up to its present end when `end` is None."""
    segment = _as_it_is_now(segment)
    if segment.compressed:
        return _decompressed(segment.path)[start:end]
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = (os.fstat(fd).st_size if end is None else end) - start
        return os.pread(fd, size, start) if size > 0 else b""
    finally:
        os.close(fd)


def size(segment: Segment) -> int:
    """Length of the plain form in bytes, a torn last line included."""
    segment = _as_it_is_now(segment)
    if not segment.compressed:
        return segment.path.stat().st_size
    with segment.path.open("rb") as file:
        return zstandard.frame_content_size(file.read(64))


def _as_it_is_now(segment: Segment) -> Segment:
    """The same segment, in the compressed form when it was compressed since it was listed."""
    compressed = segment.path.with_name(segment.name + COMPRESSED)
    if segment.compressed or segment.path.exists() or not compressed.exists():
        return segment
    return Segment(name=segment.name, path=compressed, compressed=True)


def compress(segment: Segment) -> Segment:
    """Replace a final segment by its compressed form; a crash in between leaves both, and the plain one counts."""
    target = segment.path.with_name(segment.name + COMPRESSED)
    fresh = target.with_name(f".{target.name}{_NEW}")
    data = segment.path.read_bytes()
    with _written_whole(fresh, target) as fd:
        _write_all(fd, _compressor().compress(data))
    segment.path.unlink()
    return Segment(name=segment.name, path=target, compressed=True)


def rewrite(segment: Segment, data: bytes) -> None:
    """Replace a final segment by a new generation with other bytes in the same places, in the form it has.

    A crash leaves the old generation or the new one, whole. What else there is of the old one (the compressed form beside a plain one, what a
    killed compression left) goes first, since the plain form counts.

    Raises:
        ValueError: the length differs: offsets would no longer be true.
    """
    if len(data) != size(segment):
        raise ValueError(f"{segment.name}: a new generation has the length of the old one")
    for left in leftovers(segment):
        left.unlink(missing_ok=True)
    directory = segment.path.parent
    body = _compressor().compress(data) if segment.compressed else data
    with _written_whole(directory / f".{segment.path.name}{_ERASING}", segment.path) as fd:
        _write_all(fd, body)
    _sync_directory(directory)


def leftovers(segment: Segment) -> list[Path]:
    """What killed work left beside a segment: half of a new form, and the compressed form while the plain one counts."""
    here = segment.path.parent
    names = [f".{segment.name}{COMPRESSED}{_NEW}"]
    names += [f".{segment.name}{form}{_ERASING}" for form in (PLAIN, COMPRESSED)]
    if not segment.compressed:
        names.append(segment.name + COMPRESSED)
    return [here / name for name in names if (here / name).exists()]


def _sync_directory(directory: Path) -> None:
    """A renamed or removed name is on the disk only with its directory."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=3, write_checksum=True)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def _written_whole(fresh: Path, target: Path) -> Iterator[int]:
    """A descriptor for `fresh`, which becomes `target` only when it is complete and on the disk."""
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        yield fd
        os.fsync(fd)
    except BaseException:  # whatever ended it, half a file must not stay behind
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    fresh.rename(target)


def _decompressed(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().decompress(path.read_bytes())
