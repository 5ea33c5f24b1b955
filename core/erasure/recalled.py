"""Erasures that the journal remembers and the control database does not: it was put back from a backup, and with it whoever was erased since.

The tombstone records in the store hold the digests, and the backup holds the secret that they were made with, because the secret is made at the
first start. So such an erasure is entered again and carried out again, everywhere. A record under another secret (the control database was lost and
begun anew) cannot be carried out: nobody can tell any more whom it names.

The other way round, a store without the record of an erasure that was done was put back from a backup itself, or filled anew from a journal that is
younger than it: the erasure is carried out again, too, and its record is written anew.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, select

from core.control.tables import erasures
from core.erasure.tombstones import Tombstone
from core.store.client import Store


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A tombstone record without an entry in the control database; `secret` is the mark of the one its digests were made with."""

    erasure_id: str
    subject: str
    asked_at: int
    secret: str
    stones: tuple[Tombstone, ...]


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """Those that can be carried out again, and those that nobody can tell any more."""

    again: list[Remembered]
    untold: list[Remembered]


def unknown_there(store: Store, control: Engine, *, before: int) -> list[str]:
    """Erasures asked for before a moment (ms) whose record went into the journal and is not in the store.

    Raises:
        StoreError: the store did not answer.
    """
    journaled = select(erasures.c.erasure_id).where(erasures.c.journaled, erasures.c.asked_at < before)
    with control.connect() as connection:
        asked = set(connection.scalars(journaled))
    return sorted(asked - {str(row["fact_id"]) for row in store.rows("SELECT DISTINCT fact_id FROM erasure")})


def unknown_here(store: Store, control: Engine) -> list[Remembered]:
    """Oldest first; empty as long as the control database is the one that the erasures were asked in.

    Raises:
        StoreError: the store did not answer.
    """
    with control.connect() as connection:
        known = set(connection.scalars(select(erasures.c.erasure_id)))
    rows = store.rows(
        "SELECT fact_id, any(subject) AS subject, min(toUnixTimestamp64Milli(ts)) AS asked_at, any(secret) AS secret,"
        " any(digests) AS digests, any(untils) AS untils FROM erasure GROUP BY fact_id ORDER BY asked_at, fact_id"
    )
    return [_remembered(row) for row in rows if row["fact_id"] not in known]


def recalled(found: list[Remembered], *, secret: str) -> Recalled:
    """Told apart by the mark of the secret in use."""
    return Recalled(
        again=[one for one in found if one.secret == secret], untold=[one for one in found if one.secret != secret]
    )


def _remembered(row: dict[str, object]) -> Remembered:
    digests, untils = row["digests"], row["untils"]
    assert isinstance(digests, list)
    assert isinstance(untils, list)
    return Remembered(
        erasure_id=str(row["fact_id"]),
        subject=str(row["subject"]),
        asked_at=int(str(row["asked_at"])),
        secret=str(row["secret"]),
        stones=tuple(Tombstone(digest=digest, until=until) for digest, until in zip(digests, untils, strict=True)),
    )
