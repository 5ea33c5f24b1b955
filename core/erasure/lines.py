"""Takes erased people out of journal lines. Pure: bytes in, as many bytes out.

Every line keeps its place and its length, so offsets, recorded ranges and the exactly-once ledger of the shipper stay true as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import msgspec

from core.erasure.identifiers import FIELDS, MENTIONING, NAMES, Name, derived_click_ids
from core.erasure.tombstones import Tombstones
from core.errors import Invalid
from core.journal.reader import ERASED_HEAD, is_erased
from core.journal.versions import upcast
from core.records import SCHEMA_VERSION

_ID: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_WORD: Final = re.compile(rb'[^\s"\\,{}\[\]]+')
_MENTIONED: Final[tuple[Name, ...]] = ("click_id", "visitor_id")


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Of a line, what its placeholder keeps."""

    ts: int
    known_at: int = 0
    claimed: bool = False
    v: int = SCHEMA_VERSION


def _reader(kind: str) -> msgspec.json.Decoder[msgspec.Struct]:
    fields: list[tuple[str, object, object]] = [(field, str, "") for field in FIELDS[kind]]
    if kind == "conversion":
        fields.append(("platform_ids", dict[str, str], {}))
    shape: type[msgspec.Struct] = msgspec.defstruct(f"Who_{kind}", fields, bases=(_Placed,), kw_only=True, frozen=True)
    return msgspec.json.Decoder(shape)


_READERS: Final = {kind: _reader(kind) for kind in FIELDS}
_HEADS: Final = {b'{"kind":"' + kind.encode(): kind for kind in (*FIELDS, *MENTIONING)}
_NAME_AT: Final = len(b'{"kind":"')


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """The same bytes without the erased, and how many lines of which kind were concerned ("" = lines that were no records)."""

    data: bytes
    lines: int
    erased: dict[str, int]


def clean(data: bytes, tombstones: Tombstones, *, start: int = 0) -> Cleaned:
    """Replace what is erased in the lines of a segment; `start` is the offset of the first. A torn last line is looked at, too."""
    if not tombstones:
        return Cleaned(data=data, lines=data.count(b"\n"), erased={})
    lines = data.split(b"\n")
    erased: Counter[str] = Counter()
    offset = start
    for number, line in enumerate(lines):
        kind = _HEADS.get(line[: line.find(b'"', _NAME_AT)])
        if kind is None:
            fresh = line if _cannot_tell(line) else _without_bad_line(line, tombstones)
        elif kind in MENTIONING:
            fresh = without_mentions(line, tombstones)
        else:
            fresh = _without_person(line, kind, tombstones, offset=offset)
        if fresh is not line and fresh != line:
            lines[number] = fresh
            erased[kind or ""] += 1
        offset += len(line) + 1
    return Cleaned(data=b"\n".join(lines) if erased else data, lines=len(lines) - 1, erased=dict(erased))


def concerns(kind: str, line: bytes, tombstones: Tombstones) -> bool:
    """True when a record of a person's kind is about somebody who is erased.

    Raises:
        msgspec.DecodeError: it is no such record.
    """
    return _is_erased_person(_who(line, kind), kind, tombstones)


def _who(line: bytes, kind: str) -> msgspec.Struct:
    """Whom a line is about, in today's words."""
    found = _READERS[kind].decode(line)
    version: int = found.v  # type: ignore[attr-defined] # every reader's shape extends _Placed
    return found if version == SCHEMA_VERSION else _READERS[kind].decode(upcast(line, version=version))


def without_mentions(data: bytes, tombstones: Tombstones) -> bytes:
    """Click and visitor IDs of the erased become zeros."""

    def zeros(found: re.Match[bytes]) -> bytes:
        value = found[0].decode()
        return b"0" * 32 if any(tombstones.holds(name, value, ts=0) for name in _MENTIONED) else found[0]

    return _ID.sub(zeros, data)


def _without_person(line: bytes, kind: str, tombstones: Tombstones, *, offset: int) -> bytes:
    try:
        found = _who(line, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, Invalid):
        return _without_bad_line(line, tombstones)
    if not _is_erased_person(found, kind, tombstones):
        return line
    return _placeholder(len(line), found, offset=offset)  # type: ignore[arg-type] # every reader's shape extends _Placed


def _is_erased_person(found: msgspec.Struct, kind: str, tombstones: Tombstones) -> bool:
    ts: int = found.ts  # type: ignore[attr-defined] # every reader's shape extends _Placed
    if any(tombstones.holds(name, getattr(found, field), ts=ts) for field, name in FIELDS[kind].items()):
        return True
    if kind != "conversion":
        return False
    platform_ids: dict[str, str] = found.platform_ids  # type: ignore[attr-defined] # a conversion's shape has it
    return any(tombstones.holds("click_id", value, ts=ts) for value in derived_click_ids(platform_ids))


def _placeholder(length: int, found: _Placed, *, offset: int) -> bytes:
    """A line that says when it was written and where it stands, filled up to the length of the one it replaces."""
    claimed = b'"claimed":true,' if found.claimed else b""
    head = b'%b","ts":%d,"source":"",%b"v":%d,"known_at":%d,"o":%d' % (
        ERASED_HEAD,
        found.known_at,
        claimed,
        SCHEMA_VERSION,
        found.known_at,
        offset,
    )
    fill = length - len(head) - 1
    return head + b" " * fill + b"}" if fill >= 0 else b" " * length


def _cannot_tell(line: bytes) -> bool:
    """A line of a kind that is about nobody, or nothing at all."""
    return not line or is_erased(line) or (line.startswith(b'{"kind":"') and line.endswith(b"}") and _is_json(line))


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _without_bad_line(line: bytes, tombstones: Tombstones) -> bytes:
    """What is no record is not read field by field: it goes if any word of it is the identifier of somebody who is erased."""
    words = {word.decode(errors="replace") for word in (*_WORD.findall(line), *_ID.findall(line))}
    known = any(tombstones.holds(name, word, ts=0) for word in words for name in NAMES)
    return b" " * len(line) if known else line
