"""Reads journal lines back as typed records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.errors import Invalid, JournalError
from core.journal.segment import list_segments, parse, read_range
from core.journal.versions import upcast
from core.records import AnyRecord, Envelope, Line

__all__ = ["ERASED_HEAD", "decode_line", "is_erased", "iter_lines", "list_segments"]

#: How a line begins that takes the place of an erased one (core.erasure.lines); it is no record.
ERASED_HEAD = b'{"kind":"erased'

_envelopes = msgspec.json.Decoder(Envelope)
_records: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def decode_line(line: bytes, *, segment: str) -> Line:
    """One line as a record with its envelope.

    Raises:
        Invalid: reason ``not_json``, ``unknown_version`` or ``not_a_record``, with the decoder's own words.
    """
    try:
        envelope = _envelopes.decode(line)
    except msgspec.ValidationError as error:
        raise Invalid("not_a_record", str(error)) from error
    except msgspec.DecodeError as error:
        raise Invalid("not_json", str(error)) from error
    try:
        record = _records.decode(upcast(line, version=envelope.v))
    except msgspec.DecodeError as error:
        raise Invalid("not_a_record", str(error)) from error
    return Line(segment=segment, envelope=envelope, record=record)


def is_erased(line: bytes) -> bool:
    """True for what stands in place of an erased line: a placeholder, or blanks where no placeholder fits."""
    return line.startswith(ERASED_HEAD) or (line.startswith(b" ") and not line.strip(b" "))


def iter_lines(path: Path, *, start: int = 0, end: int | None = None) -> Iterator[Line]:
    """The lines of one segment between two offsets; a torn last line and erased ones are left out.

    Raises:
        JournalError: not a segment, or it cannot be read.
        Invalid: a line is not a record.
    """
    segment = parse(path)
    if segment is None:
        raise JournalError(f"{path} is not a journal segment")
    try:
        data = read_range(segment, start=start, end=end)
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}") from error
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        if not is_erased(line):
            yield decode_line(line, segment=segment.name)
