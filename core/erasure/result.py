"""What became of an erasure, for people and machines. No value of a person stands in it."""

from __future__ import annotations

from typing import Literal

import msgspec

from core.erasure.segments import Searched

#: erasing = under way; waiting = lines stand in segments that are still being written, which rotate by themselves; done = searched, nothing
#: left.
State = Literal["erasing", "waiting", "done"]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A search after the erasure: everything that is kept was looked through for the erased identifiers."""

    journal: Searched
    store_rows: dict[str, int]
    control_rows: dict[str, int]
    searched_at: int

    @property
    def clean(self) -> bool:
        return not self.journal.found and not self.store_rows and not self.control_rows


class NodeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine did: journal lines by kind, rows of the store and of the control database by table; sums over all its passes."""

    node: str = ""
    segments_rewritten: int = 0
    journal_lines: dict[str, int] = {}
    store_rows: dict[str, int] = {}
    control_rows: dict[str, int] = {}
    segments_waiting: int = 0
    proof: Proof | None = None
    done_at: int = 0


class ErasureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The audit entry: who asked when, by which sort of identifier, how many identifiers of each sort that led to, and what was done."""

    erasure_id: str
    state: State
    subject: str
    by: str
    asked_at: int
    identifiers: dict[str, int]
    nodes: list[NodeResult]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure would take: identifiers by sort, rows of the store by table (lines that are not shipped yet are not counted)."""

    identifiers: dict[str, int]
    store_rows: dict[str, int]


def added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
