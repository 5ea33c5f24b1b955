"""The erasures of an installation in the control database: asked for, taken up by every machine with a journal, done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.clock import Clock
from core.control.checkpoints import Checkpoints
from core.control.tables import checkpoints, erasure_nodes, erasures
from core.control.upsert import upsert
from core.erasure.recalled import Remembered
from core.erasure.result import ErasureInfo, NodeResult, State
from core.erasure.tombstones import Tombstone, enter
from core.errors import NotFound

_NODES: Final = "journal-nodes"
#: Who asked for an erasure that only the journal remembers.
AGAIN: Final = "the journal, after the control database was put back"


class Audit:
    """Reads and writes the entries. Times are handed in, ms."""

    def __init__(self, engine: Engine, *, node: str, clock: Clock) -> None:
        self._engine = engine
        self._node = node
        self._clock = clock

    def present(self) -> None:
        """Say that this machine has a journal: erasures asked for from now on wait for it."""
        Checkpoints(self._engine, _NODES, clock=self._clock).put(self._node, b"")

    def ask(
        self, erasure_id: str, stones: Sequence[Tombstone], *, subject: str, by: str, identifiers: Mapping[str, int]
    ) -> None:
        """Enter an erasure with its tombstones, in one transaction: from here on it is finished whatever happens."""
        row = {"erasure_id": erasure_id, "subject": subject, "by": by, "asked_at": self._clock()}
        with self._engine.begin() as connection:
            self._enter(connection, {**row, "identifiers": dict(identifiers), "journaled": False}, stones)

    def ask_again(self, found: Remembered) -> None:
        """Enter an erasure that only the journal remembers; nothing happens when another machine did meanwhile."""
        row = {"erasure_id": found.erasure_id, "subject": found.subject, "asked_at": found.asked_at}
        with suppress(IntegrityError), self._engine.begin() as connection:
            self._enter(connection, {**row, "by": AGAIN, "identifiers": {}, "journaled": True}, found.stones)

    def reopen(self, erasure_ids: Sequence[str]) -> None:
        """Every machine does them again, and their records are written anew."""
        with self._engine.begin() as connection:
            connection.execute(update(erasures).where(erasures.c.erasure_id.in_(erasure_ids)).values(journaled=False))
            connection.execute(
                update(erasure_nodes).where(erasure_nodes.c.erasure_id.in_(erasure_ids)).values(done_at=None)
            )

    def _enter(self, connection: Connection, row: Mapping[str, Any], stones: Iterable[Tombstone]) -> None:
        connection.execute(insert(erasures).values(**row))
        enter(connection, stones, erasure_id=row["erasure_id"])
        nodes = set(connection.scalars(select(checkpoints.c.name).where(checkpoints.c.part == _NODES)))
        for node in sorted(nodes | {self._node}):
            connection.execute(insert(erasure_nodes).values(erasure_id=row["erasure_id"], node=node, result={}))

    def oldest_open(self) -> int | None:
        """When the oldest erasure that is not done anywhere it has to be was asked for, ms; None when all are done."""
        open_ = select(erasure_nodes.c.erasure_id).where(erasure_nodes.c.done_at.is_(None))
        query = select(func.min(erasures.c.asked_at)).where(erasures.c.erasure_id.in_(open_))
        with self._engine.connect() as connection:
            found: int | None = connection.scalar(query)
            return found

    def unjournaled(self) -> list[tuple[str, str, int]]:
        """(erasure, subject, asked at) of those without a record in the journal."""
        query = select(erasures.c.erasure_id, erasures.c.subject, erasures.c.asked_at)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(erasures.c.journaled.is_(False))).all()
            return [(row.erasure_id, row.subject, row.asked_at) for row in rows]

    def journaled(self, erasure_id: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(erasures).where(erasures.c.erasure_id == erasure_id).values(journaled=True))

    def mine(self) -> dict[str, NodeResult]:
        """What this machine has not finished, with what it did so far."""
        query = select(erasure_nodes).where(erasure_nodes.c.node == self._node, erasure_nodes.c.done_at.is_(None))
        with self._engine.connect() as connection:
            return {row.erasure_id: msgspec.convert(row.result, NodeResult) for row in connection.execute(query)}

    def did(self, erasure_id: str, result: NodeResult) -> None:
        """Keep what this machine did; `done_at` of 0 = there is more to do."""
        row = {"erasure_id": erasure_id, "node": self._node, "done_at": result.done_at or None}
        with self._engine.begin() as connection:
            upsert(connection, erasure_nodes, {**row, "result": msgspec.to_builtins(result)})

    def forget_node(self, node: str) -> None:
        """A machine that is gone for good, its journal with it: nothing waits for it any more."""
        gone = {"node": node, "done_at": self._clock()}
        with self._engine.begin() as connection:
            connection.execute(checkpoints.delete().where(checkpoints.c.part == _NODES, checkpoints.c.name == node))
            waiting = (erasure_nodes.c.node == node) & erasure_nodes.c.done_at.is_(None)
            connection.execute(update(erasure_nodes).where(waiting).values(done_at=gone["done_at"]))

    def one(self, erasure_id: str) -> ErasureInfo:
        """
        Raises:
            NotFound: `unknown_erasure`.
        """
        for found in self._read(erasures.c.erasure_id == erasure_id):
            return found
        raise NotFound("unknown_erasure", "there is no such erasure; clicktrace erase list shows all")

    def all(self) -> list[ErasureInfo]:
        """Newest first."""
        return self._read(erasures.c.erasure_id != "")

    def _read(self, which: object) -> list[ErasureInfo]:
        query = select(erasures).where(which).order_by(erasures.c.asked_at.desc())  # type: ignore[arg-type] # a condition
        with self._engine.connect() as connection:
            nodes: dict[str, list[NodeResult]] = {}
            for row in connection.execute(select(erasure_nodes).order_by(erasure_nodes.c.node)):
                result = msgspec.convert(row.result, NodeResult)
                told = msgspec.structs.replace(result, node=row.node, done_at=row.done_at or 0)
                nodes.setdefault(row.erasure_id, []).append(told)
            return [
                ErasureInfo(
                    erasure_id=row.erasure_id,
                    state=_state(nodes.get(row.erasure_id, [])),
                    subject=row.subject,
                    by=row.by,
                    asked_at=row.asked_at,
                    identifiers=row.identifiers,
                    nodes=nodes.get(row.erasure_id, []),
                )
                for row in connection.execute(query)
            ]


def _state(nodes: Sequence[NodeResult]) -> State:
    open_ = [each for each in nodes if not each.done_at]
    if not open_:
        return "done"
    return "waiting" if all(each.segments_waiting for each in open_) else "erasing"
