"""Lines that cannot be loaded: kept in the control database with the reason, and driven into the journal again on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, Engine, select, update

from core.control.tables import dead_letters
from core.errors import Invalid
from core.journal.reader import decode_line
from core.journal.writer import JournalWriter

#: Why a line is not loaded; the same words stand in the table, in metrics and in tests.
REASONS = (
    "not_json",
    "not_a_record",
    "unknown_kind",
    "unknown_version",
    "wrong_offset",
    "torn_line",
    "refused_by_store",
)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A line at offset `o` of a segment, with a reason from `REASONS` and the checker's own words."""

    segment: str
    o: int
    reason: str
    detail: str
    line: bytes


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters went into the journal again, and how many still cannot, by reason."""

    redriven: int
    still_bad: dict[str, int]


def bury(connection: Connection, letters: Iterable[DeadLetter], *, now: int) -> None:
    """Keep lines; one that is kept already stays as it is (a replay meets the same bad lines again)."""
    for letter in letters:
        known = select(dead_letters.c.o).where(dead_letters.c.segment == letter.segment, dead_letters.c.o == letter.o)
        if connection.execute(known).first() is None:
            row = msgspec.structs.asdict(letter) | {"detail": letter.detail[:2000]}
            connection.execute(dead_letters.insert().values(**row, at=now))


def waiting(engine: Engine) -> list[DeadLetter]:
    """The letters that were not driven again, oldest segment first."""
    query = (
        select(dead_letters)
        .where(dead_letters.c.redriven_at.is_(None))
        .order_by(dead_letters.c.segment, dead_letters.c.o)
    )
    with engine.connect() as connection:
        return [
            DeadLetter(segment=row.segment, o=row.o, reason=row.reason, detail=row.detail, line=bytes(row.line))
            for row in connection.execute(query)
        ]


def offsets(engine: Engine, segment: str) -> set[int]:
    """Where the dead letters of a segment stand, those that were driven again included."""
    with engine.connect() as connection:
        return set(connection.scalars(select(dead_letters.c.o).where(dead_letters.c.segment == segment)))


def redrive(engine: Engine, journal: JournalWriter, *, now: int) -> Redriven:
    """Append every dead letter that is a record by today's rules as a new line, and mark it.

    It is learned now, so it gets a new `known_at`, unless it claimed its own. Each letter is marked in the transaction that
    appends it: only a death within that instant could drive it twice.
    """
    still_bad: Counter[str] = Counter()
    redriven = 0
    for letter in waiting(engine):
        try:
            line = decode_line(letter.line, segment=letter.segment)
        except Invalid as refusal:
            still_bad[refusal.reason if letter.reason != "torn_line" else letter.reason] += 1
            continue
        mark = update(dead_letters).where(dead_letters.c.segment == letter.segment, dead_letters.c.o == letter.o)
        with engine.begin() as connection:
            connection.execute(mark.values(redriven_at=now))
            journal.append(line.record, known_at=line.envelope.known_at if line.envelope.claimed else None)
        redriven += 1
    return Redriven(redriven=redriven, still_bad=dict(still_bad))
