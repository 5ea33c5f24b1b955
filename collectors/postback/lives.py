"""Where lives of conversions are kept: in the control database, so that a restart, or another process, knows what came before."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from collectors.postback.life import Life, Step
from core.clock import DAY_MS, HOUR_MS
from core.control.tables import postback_lives
from core.errors import Invalid

#: Of several postbacks for one conversion at once, each needs one attempt more than the one before.
ATTEMPTS: Final = 20

_table = postback_lives.c


class Lives:
    """Thread-safe. Times in ms."""

    def __init__(self, engine: Engine, *, remember_days: int) -> None:
        self._engine = engine
        self._remember_ms = remember_days * DAY_MS
        self._swept = 0

    def advance(
        self, key: str, decide: Callable[[Life | None], Step], *, write: Callable[[Life], None], now: int
    ) -> Step:
        """Take one step of the life under `key`, so that no two processes take it from the same place.

        1. Read the life, decide.
        2. In one transaction: keep the new life if the old one is still there, and `write` it to the journal.
        3. If it was not there any more, begin again.

        When `write` fails nothing is kept, so that the sender's next attempt finds things as they were.

        Raises:
            Invalid: `busy` (503); and whatever `decide` and `write` raise.
        """
        self._sweep(now)
        digest = sha256(key.encode()).hexdigest()
        for _ in range(ATTEMPTS):
            version, life = self._read(digest, now=now)
            step = decide(life)
            if step.life is None or self._kept(digest, step.life, after=version, write=write, now=now):
                return step
        raise Invalid("busy", "too many postbacks of one conversion at once; send again", status=503)

    def _read(self, digest: str, *, now: int) -> tuple[int, Life | None]:
        """(version, life); version 0 when there is none, a life of None when it is too old to count."""
        query = select(_table.version, _table.life, _table.updated_at).where(_table.key_sha256 == digest)
        with self._engine.connect() as database:
            row = database.execute(query).first()
        if row is None:
            return 0, None
        fresh = row.updated_at >= now - self._remember_ms
        return row.version, msgspec.json.decode(row.life, type=Life) if fresh else None

    def _kept(self, digest: str, life: Life, *, after: int, write: Callable[[Life], None], now: int) -> bool:
        row = {"version": after + 1, "life": msgspec.json.encode(life), "updated_at": now}
        same = (_table.key_sha256 == digest) & (_table.version == after)
        statement = (
            update(postback_lives).where(same).values(**row)
            if after
            else insert(postback_lives).values(key_sha256=digest, **row)
        )
        try:
            with self._engine.begin() as database:
                if not database.execute(statement).rowcount:
                    return False
                write(life)
        except IntegrityError:
            return False
        return True

    def _sweep(self, now: int) -> None:
        """Forget what is too old to count; at most once an hour."""
        if now - self._swept < HOUR_MS:
            return
        self._swept = now
        with self._engine.begin() as database:
            database.execute(delete(postback_lives).where(_table.updated_at < now - self._remember_ms))
