"""A node's copy of all links, where the control database is a server: a hit must never wait for the network.

The copy is an SQLite file in the data directory with the one table `links`, so workers read it as they would read an SQLite control
database. One worker of the node at a time brings it up to date, by change number; which one, a lock on a file says, and the lock is
given back when its holder dies. The control database stays the only truth: a copy that was lost or damaged is made anew.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, create_engine, delete, event, func, insert, select, text

from core.control.tables import links

FILE_NAME: Final = "links-copy.sqlite"
STRIDE: Final = 2000
#: `PRAGMA user_version` of a copy that once held every link.
_COMPLETE: Final = 1


class LinkReplica:
    """The copy, seen from one worker. `refresh` belongs to one thread."""

    def __init__(self, source: Engine, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.path = data_dir / FILE_NAME
        self.complete = False
        self.engine = create_engine(f"sqlite:///{self.path}")
        event.listen(self.engine, "connect", _pragmas)
        self._source = source
        self._lock_path = self.path.with_suffix(".lock")
        self._lock: int | None = None

    def refresh(self) -> None:
        """Copy what changed, if it is this worker's turn; whoever's turn it is, notice that the control database is away.

        Raises:
            SQLAlchemyError: the control database or the copy does not answer.
        """
        self.refresh_completeness()
        with self._source.connect() as source:
            newest = source.execute(_newest()).scalar_one()
            if self._is_our_turn():
                self._copy(source, newest)
        self.refresh_completeness()

    def refresh_completeness(self) -> None:
        """A copy that was complete once is worth asking, even before the control database answers."""
        if not self.complete and self.path.exists():
            with self.engine.connect() as copy:
                self.complete = copy.execute(text("PRAGMA user_version")).scalar_one() == _COMPLETE

    def close(self) -> None:
        """Let another worker have the turn."""
        self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _is_our_turn(self) -> bool:
        if self._lock is not None:
            return True
        lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        links.create(self.engine, checkfirst=True)
        return True

    def _copy(self, source: Connection, newest: int) -> None:
        with self.engine.connect() as copy:
            seen = copy.execute(_newest()).scalar_one()
        if newest < seen:
            # The control database went back to a backup: what the copy knows of its future must go.
            with self.engine.begin() as copy:
                copy.execute(delete(links))
                copy.execute(text("PRAGMA user_version = 0"))
            seen, self.complete = 0, False
        while seen < newest:
            rows = source.execute(
                select(links).where(links.c.change > seen).order_by(links.c.change).limit(STRIDE)
            ).all()
            self._write(rows)
            seen = rows[-1].change
        if not self.complete:
            with self.engine.begin() as copy:
                copy.execute(text(f"PRAGMA user_version = {_COMPLETE}"))

    def _write(self, rows: Sequence[Row[Any]]) -> None:
        with self.engine.begin() as copy:
            copy.execute(delete(links).where(links.c.link_id.in_([row.link_id for row in rows])))
            copy.execute(insert(links), [row._asdict() for row in rows])


def _newest() -> Any:
    return select(func.coalesce(func.max(links.c.change), 0))


def _pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # The copy is rebuilt when it is lost: nothing of it needs to reach the disk in time.
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA busy_timeout=2000")
