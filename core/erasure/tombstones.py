"""What was erased and must not come back, kept as keyed digests in the control database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, func, select

from core.control.shared_secret import shared_secret
from core.control.tables import secrets, tombstones
from core.control.upsert import upsert
from core.erasure.identifiers import ONCE, Name, Pseudonyms

SECRET_NAME: Final = "erasure"  # noqa: S105 - the name of the secret, not the secret
#: Until when something is erased that happens once: later than any event.
ALWAYS: Final = 10_413_791_999_999


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that carry the identifier behind `digest` are erased when they happened at or before `until` (ms)."""

    digest: str
    until: int


class Tombstones:
    """A set of tombstones to hold lines against; falsy when there is none. Immutable."""

    def __init__(self, pseudonyms: Pseudonyms, until: Mapping[str, int]) -> None:
        self.pseudonyms = pseudonyms
        self.until = until

    def __len__(self) -> int:
        return len(self.until)

    def holds(self, name: Name, value: str, *, ts: int) -> bool:
        """True when what carries this identifier and happened at `ts` is erased."""
        return bool(value) and self.until.get(self.pseudonyms.of(name, value), -1) >= ts


def known_secret(engine: Engine) -> bytes | None:
    """The secret that digests are keyed with, if one was ever made; none is made by asking."""
    with engine.connect() as connection:
        found = connection.scalar(select(secrets.c.value).where(secrets.c.name == SECRET_NAME))
    return None if found is None else bytes(found)


def tombstone(pseudonyms: Pseudonyms, name: Name, value: str, *, now: int) -> Tombstone:
    return Tombstone(digest=pseudonyms.of(name, value), until=ALWAYS if name in ONCE else now)


class TombstoneBook:
    """All tombstones of an installation. One thread uses it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pseudonyms: Pseudonyms | None = None
        self._count = -1
        self.all = Tombstones(Pseudonyms(b""), {})

    @property
    def pseudonyms(self) -> Pseudonyms:
        if self._pseudonyms is None:
            self._pseudonyms = Pseudonyms(shared_secret(self._engine, SECRET_NAME, now=0))
        return self._pseudonyms

    def refresh(self) -> bool:
        """Read them again when there are others; True when there are. They are never taken back, so counting them tells."""
        with self._engine.connect() as connection:
            # `until` of a person who is erased again moves on.
            mark = connection.execute(select(func.count(), func.sum(tombstones.c.until))).one()
            if hash(tuple(mark)) == self._count:
                return False
            rows = connection.execute(select(tombstones.c.digest, tombstones.c.until)).all()
        self._count = hash(tuple(mark))
        self.all = Tombstones(self.pseudonyms, {row.digest: row.until for row in rows})
        return True

    def of(self, erasure_ids: Iterable[str]) -> Tombstones:
        """Those of some erasures only."""
        wanted = select(tombstones.c.digest, tombstones.c.until).where(tombstones.c.erasure_id.in_(list(erasure_ids)))
        with self._engine.connect() as connection:
            return Tombstones(self.pseudonyms, {row.digest: row.until for row in connection.execute(wanted)})


def enter(connection: Connection, stones: Iterable[Tombstone], *, erasure_id: str) -> None:
    """Set up tombstones; one that stands already belongs to the newer erasure from now on, and never ends earlier than it did."""
    for stone in stones:
        stands = connection.scalar(select(tombstones.c.until).where(tombstones.c.digest == stone.digest))
        until = max(stone.until, stands or 0)
        upsert(connection, tombstones, {"digest": stone.digest, "until": until, "erasure_id": erasure_id})
