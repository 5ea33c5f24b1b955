"""Journal lines from elsewhere (`clicktrace import journal`): NDJSON with their own `kind` and `known_at`, at journal speed.

Every line is decoded into its record type, which is the validation, and then written with the sender's own bytes: encoding it again
would cost as much once more. Lines that are written otherwise than our writer does are brought into that form first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import zstandard

from core.journal.versions import upcast
from core.records import SCHEMA_VERSION, AnyRecord

#: The envelope as writers leave it: known_at, and around it in any order version, offset and claim.
_TAIL: Final = re.compile(
    rb'(?:,"v":(\d+)|,"o":\d+|,"claimed":(?:true|false))*,"known_at":(\d+)(?:,"v":(\d+)|,"o":\d+|,"claimed":(?:true|false))*\}$'
)
_TODAY: Final = b"%d" % SCHEMA_VERSION
_START: Final = b'{"kind":"'
#: The envelope is at most this long: version, known_at, offset, claim.
_TAIL_BYTES: Final = 96


class _Known(msgspec.Struct):
    known_at: int
    v: int = SCHEMA_VERSION


_decode_record = msgspec.json.Decoder(AnyRecord).decode
_decode_known = msgspec.json.Decoder(_Known).decode


class Body(msgspec.Struct, frozen=True, gc=False):
    """A journal line without its envelope, as `JournalWriter.append_encoded` takes it, and the `known_at` it claims (ms)."""

    encoded: bytes
    known_at: int


def body_of(line: bytes) -> Body:
    """One journal line taken apart, in today's words.

    Raises:
        msgspec.MsgspecError: not JSON, of no known kind, or a field is missing or of the wrong type.
        Invalid: reason ``unknown_version``.
    """
    tail_at = max(0, len(line) - _TAIL_BYTES)
    tail = _TAIL.search(line, tail_at)
    if tail is not None and line.startswith(_START) and (tail[1] or tail[3] or _TODAY) == _TODAY:
        _decode_record(line)
        return Body(line[: tail.start()] + b"}", int(tail[2]))
    known = _decode_known(line)
    record = _decode_record(upcast(line, version=known.v))
    return Body(msgspec.json.encode(record), known.known_at)


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, line) of every line that is not empty; a `.zst` file, such as a sealed segment, is read as well."""
    with path.open("rb") as raw:
        file = zstandard.ZstdDecompressor().stream_reader(raw) if path.suffix == ".zst" else raw
        rest = b""
        number = 0
        while block := file.read(1 << 22):
            parts = (rest + block).split(b"\n")
            rest = parts.pop()
            for part in parts:
                number += 1
                if part:
                    yield number, part.rstrip()
        if rest.strip():
            yield number + 1, rest.rstrip()
