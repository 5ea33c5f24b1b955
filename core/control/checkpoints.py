"""Small named states that a part keeps over restarts."""

from __future__ import annotations

from sqlalchemy import Engine, select

from core.clock import Clock, now_ms
from core.control.tables import checkpoints
from core.control.upsert import upsert


class Checkpoints:
    """Reads and writes one part's checkpoints; values are opaque bytes."""

    def __init__(self, engine: Engine, part: str, *, clock: Clock = now_ms) -> None:
        self._engine = engine
        self._part = part
        self._clock = clock

    def get(self, name: str) -> bytes | None:
        query = select(checkpoints.c.value).where(checkpoints.c.part == self._part, checkpoints.c.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else bytes(row.value)

    def put(self, name: str, value: bytes) -> None:
        with self._engine.begin() as connection:
            upsert(
                connection,
                checkpoints,
                {"part": self._part, "name": name, "value": value, "updated_at": self._clock()},
            )
