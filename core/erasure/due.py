"""Segments in which erased lines were met again: noted before the lines are left out, so that a restart does not forget them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, delete, select

from core.clock import Clock
from core.control.checkpoints import Checkpoints
from core.control.tables import checkpoints

PART: Final = "erasure-due"


class Due:
    """The list, in the control database. `add` is cheap for a segment that was added before."""

    def __init__(self, engine: Engine, *, clock: Clock) -> None:
        self._engine = engine
        self._notes = Checkpoints(engine, PART, clock=clock)
        self._added: set[str] = set()

    def add(self, segment: str) -> None:
        if segment not in self._added:
            self._notes.put(segment, b"")
            self._added.add(segment)

    def all(self) -> set[str]:
        with self._engine.connect() as connection:
            return set(connection.scalars(select(checkpoints.c.name).where(checkpoints.c.part == PART)))

    def done(self, segment: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(checkpoints).where(checkpoints.c.part == PART, checkpoints.c.name == segment))
