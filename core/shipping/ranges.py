"""Cuts a segment's bytes into ranges and a range into one block per kind. Pure: bytes in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from operator import eq
from typing import Annotated

import msgspec

from core.errors import Invalid
from core.journal.dead_letter import DeadLetter
from core.journal.reader import decode_line, is_erased
from core.journal.versions import upcast
from core.records import SCHEMA_VERSION, Kinds

#: Last millisecond that DateTime64 holds (ClickHouse: 2299-12-31); the store would wrap what lies behind it.
MAX_TS = 10_413_791_999_999
_NAME_AT = len(b'{"kind":"')


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes [start, end) of a segment; `end` follows a newline. `lines` counts all of them, bad ones included."""

    segment: str
    start: int
    end: int
    lines: int


def cut(data: bytes, *, limit: int) -> bytes:
    """The whole lines at the head of `data`, at most `limit` bytes unless one line alone is longer."""
    end = data.rfind(b"\n", 0, limit) + 1
    if end == 0:
        end = data.find(b"\n") + 1
    return data[:end]


def split_by_kind(data: bytes) -> tuple[dict[str, list[bytes]], list[int]]:
    """Lines (without newline) by kind, in order, and the lengths of all; under ``""`` those of no known kind.

    The writer puts the kind first, so it is read at a fixed place and nothing is parsed.
    """
    lines = data.split(b"\n")
    lines.pop()
    groups: dict[bytes, list[bytes]] = {}
    for line in lines:
        head = line[: line.find(b'"', _NAME_AT)]
        group = groups.get(head)
        if group is None:
            groups[head] = [line]
        else:
            group.append(line)
    found: dict[str, list[bytes]] = {}
    for head, group in groups.items():
        found.setdefault(_KIND_OF_HEAD.get(head, ""), []).extend(group)
    return found, list(map(len, lines))


_KIND_OF_HEAD = {b'{"kind":"' + kind.encode(): kind for kind in Kinds.BY_NAME}


def _gate(kind: str) -> msgspec.json.Decoder[msgspec.Struct]:
    """A decoder for only what the engine would let pass in silence: required fields and their closed lists, the envelope.

    Full decoding costs 2.6 us a line, this 0.7; the types of all other fields the engine checks itself.
    """
    fields: list[tuple[str, object]] = [
        (field.encode_name, field.type)
        for field in msgspec.structs.fields(Kinds.BY_NAME[kind])
        if field.required and field.name != "ts"
    ]
    fields += [
        ("ts", Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)]),
        ("v", Annotated[int, msgspec.Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]),
        ("known_at", Annotated[int, msgspec.Meta(ge=0, le=MAX_TS)]),
        ("o", Annotated[int, msgspec.Meta(ge=0)]),
    ]
    gate: type[msgspec.Struct] = msgspec.defstruct(f"Gate_{kind}", fields, gc=False)
    return msgspec.json.Decoder(gate)


_GATES = {kind: _gate(kind) for kind in Kinds.BY_NAME}


def passes_gate(blocks: Mapping[str, bytes], *, lengths: Iterable[int], start: int) -> bool:
    """True when no line of a range breaks what the engine does not check, and each says the offset where it stands.

    Args:
        blocks: the range's lines by kind.
        lengths: of all its lines in order, without their newlines.
        start: offset of the first.
    """
    said: list[int] = []
    try:
        for kind, block in blocks.items():
            said += [gate.o for gate in _GATES[kind].decode_lines(block)]  # type: ignore[attr-defined] # every gate has it
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    said.sort()
    standing = accumulate((length + 1 for length in lengths), initial=start)
    return all(map(eq, said, standing))


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A range split into one block per kind; `clean` when all of it may be sent as it stands."""

    blocks: dict[str, bytes]
    rows: dict[str, int]
    clean: bool


def prepare(one: Range, data: bytes) -> Prepared:
    """Split a range and check it lightly."""
    groups, lengths = split_by_kind(data)
    blocks = {kind: b"\n".join(lines) for kind, lines in groups.items()}
    clean = "" not in blocks and passes_gate(blocks, lengths=lengths, start=one.start)
    return Prepared(blocks=blocks, rows={kind: len(lines) for kind, lines in groups.items()}, clean=clean)


class Placed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line with the offset where it really stands, and of which kind it is."""

    o: int
    kind: str
    line: bytes


def place(data: bytes, *, start: int) -> list[Placed]:
    """Every line of a range with its offset and kind (``""`` when unknown)."""
    placed: list[Placed] = []
    offset = start
    for line in data.split(b"\n")[:-1]:
        kind = _KIND_OF_HEAD.get(line[: line.find(b'"', _NAME_AT)], "")
        placed.append(Placed(o=offset, kind=kind, line=line))
        offset += len(line) + 1
    return placed


def sort(one: Range, data: bytes) -> tuple[dict[str, list[Placed]], list[DeadLetter]]:
    """Every line of a range, fully checked and in today's words: the good ones by kind, and the bad ones, as they stand, with their reasons.

    Erased ones are neither.
    """
    good: dict[str, list[Placed]] = {}
    bad: list[DeadLetter] = []
    for placed in place(data, start=one.start):
        if is_erased(placed.line):
            continue
        try:
            fresh = _checked(one.segment, placed)
        except Invalid as fault:
            bad.append(
                DeadLetter(segment=one.segment, o=placed.o, reason=fault.reason, detail=fault.detail, line=placed.line)
            )
        else:
            good.setdefault(fresh.kind, []).append(fresh)
    return good, bad


def refusal(one: Range, placed: Placed, *, detail: str) -> DeadLetter:
    """A line that passed every check of ours and that the engine will not have."""
    return DeadLetter(segment=one.segment, o=placed.o, reason="refused_by_store", detail=detail, line=placed.line)


def _checked(segment: str, placed: Placed) -> Placed:
    """The line in today's words.

    Raises:
        Invalid: with one of `core.journal.dead_letter.REASONS`.
    """
    try:
        line = decode_line(placed.line, segment=segment)
    except Invalid as refusal:
        if refusal.reason == "not_a_record" and not placed.kind:
            raise Invalid("unknown_kind", refusal.detail) from refusal
        raise
    if line.envelope.o != placed.o:
        raise Invalid("wrong_offset", f"the line says o={line.envelope.o} and stands at {placed.o}")
    fresh = place(upcast(placed.line, version=line.envelope.v) + b"\n", start=placed.o)[0]
    if not fresh.kind:
        raise Invalid("unknown_kind", "the kind does not stand first in the line")
    if not passes_gate({fresh.kind: fresh.line}, lengths=[len(fresh.line)], start=placed.o):
        raise Invalid("not_a_record", f"a time lies outside 0 to {MAX_TS} ms")
    return fresh
