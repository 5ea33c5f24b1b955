"""A file as it lies there, packed or not: its bytes, and how far they are read. Names decide, as people know them from their shell."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import zstandard

from core.errors import Invalid

PACKED: Final = (".gz", ".zst", ".zip")


class Opened(NamedTuple):
    """`share()` says how much of the file is read, in [0, 1]: for a packed one, of its packed bytes."""

    stream: BinaryIO
    share: Callable[[], float]


def suffix(path: Path) -> str:
    """What the content is called: ``.csv`` of ``orders.CSV.gz``; a .zip is called like the only file in it.

    Raises:
        Invalid: `malformed`, a .zip that is none or does not hold exactly one file.
    """
    end = path.suffix.lower()
    if end == ".zip":
        with _zip(path) as archive:
            return Path(archive.namelist()[0]).suffix.lower()
    return Path(path.stem).suffix.lower() if end in PACKED else end


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """The content's bytes.

    Raises:
        Invalid: `malformed`, the file is not packed as its name says.
    """
    size = max(1, path.stat().st_size)
    with path.open("rb") as raw:

        def share() -> float:
            return 1.0 if raw.closed else min(1.0, raw.tell() / size)

        try:
            yield Opened(_unpacked(path, raw), share)
        except (gzip.BadGzipFile, EOFError, zipfile.BadZipFile, zstandard.ZstdError) as error:
            raise Invalid("malformed", f"{path.name} cannot be unpacked: {error}") from None


def _unpacked(path: Path, raw: BinaryIO) -> BinaryIO:
    end = path.suffix.lower()
    if end == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if end == ".zst":
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
    if end == ".zip":
        archive = zipfile.ZipFile(raw)
        return cast(BinaryIO, archive.open(archive.namelist()[0]))
    return raw


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise Invalid("malformed", f"{path.name} cannot be unpacked: {error}") from None
    if len(archive.namelist()) != 1:
        raise Invalid("malformed", f"{path.name}: unpack it, one file is read at a time")
    return archive
