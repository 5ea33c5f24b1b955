"""The daily salts of the keyed network hash: made when missing, shared by all workers, destroyed after two days (design §5)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.clock import DAY_MS
from core.control.tables import salts

SALT_BYTES = 32


class Salts:
    """Today's salt from the control database.

    Tomorrow's is made ahead of time, so that a database that is away at midnight costs nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, bytes] = {}

    def refresh(self, now: int) -> bytes:
        """Make and read the salts of today and tomorrow, destroy those of two days ago; returns today's."""
        days = [_day(now), _day(now + DAY_MS)]
        if not all(day in self._known for day in days):
            with self._engine.begin() as connection:
                for day in days:
                    _make(connection, day)
                connection.execute(delete(salts).where(salts.c.day < _day(now - DAY_MS)))
                rows = connection.execute(select(salts.c.day, salts.c.salt).where(salts.c.day.in_(days)))
                self._known = {row.day: bytes(row.salt) for row in rows}
        return self._known[days[0]]

    def known(self, now: int) -> bytes:
        """Today's salt as far as it was read; b"" means: hash nothing."""
        return self._known.get(_day(now), b"")


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _make(connection: Connection, day: str) -> None:
    """Insert a fresh salt unless another worker was first."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(salts).values(day=day, salt=secrets.token_bytes(SALT_BYTES))
    connection.execute(statement.on_conflict_do_nothing(index_elements=["day"]))
