"""A break and what is looked at to explain it. Frozen values: the causes are pure functions of them (`causes.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from core.clock import to_datetime

#: What may be behind a break of counts or sums, a closed list (why a *cost* per lead moved says `correlator.bridge`); `unexplained` = none of the others fits.
Word = Literal[
    "consent",
    "blockers",
    "time_zone",
    "parameters_stripped",
    "tag_outage",
    "counted_twice",
    "late_data",
    "currency",
    "unexplained",
]
#: system = a system counts another number than the one that is believed; sum = as many, but other money; step = an unusual leak.
Kind = Literal["system", "sum", "step"]


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """What does not agree: `count` where `expected` would be right. Sums are micros of `currency`.

    `name` is a conversion type, or the step. `believed` is the system that a system is held against.
    """

    scope: str
    since_ms: int
    until_ms: int
    kind: Kind
    name: str
    system: str = ""
    believed: str = ""
    count: float
    expected: float
    currency: str = ""

    @property
    def difference(self) -> float:
        return self.count - self.expected


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One explanation. `amount` is what it accounts for, in the break's unit and sign; `fit` in (0, 1] says how well that is the difference.

    `evidence` are sentences with the figures the cause rests on.
    """

    cause: Word
    amount: float
    fit: float
    evidence: tuple[str, ...]


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """An hour of the scope's traffic: clicks, those that refused consent, those whose landing page reported a view.

    `views` are page views on the pages its links lead to, whoever they belong to; `views_with_click` those that carry a click ID.
    """

    at_ms: int
    clicks: int = 0
    refused: int = 0
    landed: int = 0
    views: int = 0
    views_with_click: int = 0


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """An hour of believed conversions, by what a browser could have told: of clicks that refused consent, and of clicks never seen on a page."""

    at_ms: int
    conversions: int = 0
    refused: int = 0
    unseen: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What a system counted in [begins, ends)."""

    begins_ms: int
    ends_ms: int
    count: float


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source of one of the sides, and how far it says it is complete."""

    name: str
    complete_through_ms: int


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known around a break. What could not be read is empty, and the causes that rest on it stay silent."""

    #: The break's hours, and those of the seven days before it.
    hours: tuple[Hour, ...] = ()
    before: tuple[Hour, ...] = ()
    sold: tuple[Sold, ...] = ()
    #: The system's own buckets and the believed one's half hours, from seven days before the break to a day after it.
    told: tuple[Piece, ...] = ()
    true: tuple[Piece, ...] = ()
    #: Sources of the system (or step), and of what it is held against.
    sources: tuple[Source, ...] = ()
    believed_sources: tuple[Source, ...] = ()
    #: Pages on which the destination watch saw the click ID lost.
    lost_on: tuple[str, ...] = ()
    #: Money as the system and as the believed one told it, micros by currency; how many units of the believed one's currency one unit of another is worth.
    sums: dict[str, int] = {}
    true_sums: dict[str, int] = {}
    rates: dict[str, float] = {}


def cause_of(word: Word, amount: float, found: Break, *evidence: str) -> Cause | None:
    """A cause with its fit; None when it accounts for nothing, or for a difference the other way."""
    difference = found.difference
    if amount * difference <= 0:
        return None
    return Cause(cause=word, amount=amount, fit=min(amount / difference, difference / amount), evidence=evidence)


def within(pieces: Iterable[Piece], begins: int, ends: int) -> float:
    """What was counted in [begins, ends) (ms); a piece that lies across a border counts by the part inside."""
    total = 0.0
    for piece in pieces:
        inside = min(ends, piece.ends_ms) - max(begins, piece.begins_ms)
        if inside > 0:
            total += piece.count * inside / (piece.ends_ms - piece.begins_ms)
    return total


def clock(ms: int) -> str:
    """How evidence tells a moment."""
    return f"{to_datetime(ms):%Y-%m-%d %H:%M} UTC"
