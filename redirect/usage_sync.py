"""Exchanges the clicks of links with a `max_clicks` between workers, through the control database.

Each worker writes rows of its own only, and writes its count, not what came in addition: a write that is repeated changes nothing, and
nobody's clicks are lost under somebody else's. A worker's rows are found again by the one that follows it: its identity is the node, its
index, and a place that a file lock holds, so that a worker that still drains keeps its rows apart from those of its successor.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock, now_ms
from core.control.tables import link_usage
from core.control.upsert import upsert
from core.schedule import Periodic
from redirect.usage import Usage

#: A click is known to every worker after at most twice this time and what the database takes.
INTERVAL_S: Final = 0.5
STRIDE: Final = 500


class Identity:
    """Who writes which rows; `name` is nobody else's while `release` was not called and the process lives."""

    def __init__(self, data_dir: Path, *, index: int) -> None:
        self._lock = -1
        try:
            self.name = self._take_place(data_dir / "usage", index)
        except OSError:
            # A full disk must not keep a worker from starting: its rows are new ones then, and the old ones still count.
            self.name = f"{uuid.uuid4().hex[:16]}-{index}"

    def _take_place(self, folder: Path, index: int) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        node = _node(folder)
        for place in count():
            lock = os.open(folder / f"redirect-{index}.{place}.lock", os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._lock = lock
            return f"{node}-{index}-{place}"
        raise AssertionError("counting never ends")

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class UsageSync:
    """Writes a worker's counts and reads those of the others, for links that were hit."""

    def __init__(
        self, engine: Engine, usage: Usage, *, worker: str, interval_s: float = INTERVAL_S, clock: Clock = now_ms
    ) -> None:
        self.failures = 0
        self._engine = engine
        self._usage = usage
        self._worker = worker
        #: Links whose last hits are not in the database yet.
        self._pending: set[str] = set()
        #: What this worker's rows held before this process wrote to them.
        self._before: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._periodic = Periodic("link-usage", self._tick, interval_s=interval_s, clock=clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        """Write what is left. What the database does not take now is lost for the limit, not for the journal."""
        self._periodic.stop()
        self.exchange()

    def exchange(self) -> bool:
        """Write and read the links hit since the last time. False when the database is away: they wait for the next time."""
        self._pending.update(_drained(self._usage.touched))
        try:
            for link_ids in _strides(sorted(self._pending)):
                with self._engine.begin() as connection:
                    written = self._exchange(connection, link_ids)
                self._written.update(written)
                self._pending.difference_update(link_ids)
        except SQLAlchemyError:
            self.failures += 1
            return False
        return True

    def _tick(self, _now: int) -> None:
        self.exchange()

    def _exchange(self, connection: Connection, link_ids: list[str]) -> dict[str, int]:
        """The counts that were written; they are in the database once the transaction has committed."""
        written = {}
        others, own_row = self._read(connection, link_ids)
        for link_id in link_ids:
            before = self._before.setdefault(link_id, own_row.get(link_id, 0))
            self._usage.elsewhere[link_id] = others[link_id] + before
            clicks = before + self._usage.own.get(link_id, 0)
            if clicks != self._written.get(link_id, before):
                upsert(connection, link_usage, {"link_id": link_id, "worker": self._worker, "clicks": clicks})
                written[link_id] = clicks
        return written

    def _read(self, connection: Connection, link_ids: list[str]) -> tuple[defaultdict[str, int], dict[str, int]]:
        others: defaultdict[str, int] = defaultdict(int)
        own: dict[str, int] = {}
        for row in connection.execute(select(link_usage).where(link_usage.c.link_id.in_(link_ids))):
            if row.worker == self._worker:
                own[row.link_id] = row.clicks
            else:
                others[row.link_id] += row.clicks
        return others, own


def _strides(link_ids: list[str]) -> Iterator[list[str]]:
    return (link_ids[start : start + STRIDE] for start in range(0, len(link_ids), STRIDE))


def _drained(touched: set[str]) -> Iterator[str]:
    """Takes one after the other: what is added meanwhile is either taken or stays."""
    while touched:
        yield touched.pop()


def _node(folder: Path) -> str:
    """A name of this data directory that no other has."""
    path, fresh = folder / "node", folder / f"node.{uuid.uuid4().hex}"
    if not path.exists():
        fresh.write_text(uuid.uuid4().hex[:16])
        with suppress(FileExistsError):  # another worker was first
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text()
