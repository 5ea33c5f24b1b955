"""Reads one link at a time from an SQLite file, on the thread that answers requests.

A point read from the page cache costs 5 to 8 us: less than handing it to another thread and waking up again. Reads of one tick of the
event loop share a read transaction, which saves 3 us on each but the first; none is open longer, because a reader that never pauses
keeps the write-ahead log from ever starting anew.

What must never happen is that the thread waits for a lock: a read that meets one gives up after `BUSY_MS`, and for `PAUSE_S` nothing is
tried any more, so a database that is away costs the links in memory at most a twentieth of the time.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from redirect.compiled import Loader
from redirect.link_table import LinksUnavailable
from redirect.links.model import Link, LinkDefinition
from redirect.live_link import LiveLink

BUSY_MS: Final = 25
PAUSE_S: Final = 0.5
#: The upper pages of the index stay here; the kernel holds the rest, once for all workers.
_PAGES_KB: Final = 4096
_FIND: Final = "SELECT compiled, version, rowid FROM links WHERE slug = ? AND domain = ?"
_DEFINITION: Final = "SELECT link_id, version, definition, updated_at FROM links WHERE rowid = ?"

_definition = msgspec.json.Decoder(LinkDefinition).decode


class SqliteLinks:
    """Links of a control database, or of a node's copy of it.

    Args:
        path: the file; it may come later.
        complete: False while the file does not hold every link yet: then nothing can be said about one that is not there.

    `at_end_of_tick` runs something once the event loop has gone through what is ready now; None = every read stands alone.
    """

    def __init__(
        self,
        path: Path,
        *,
        loader: Loader,
        complete: Callable[[], bool] = lambda: True,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures = 0
        self.path = path
        self.at_end_of_tick: Callable[[Callable[[], None]], object] | None = None
        self._loader = loader
        self._complete = complete
        self._timer = timer
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._paused_until = 0.0

    def read(self, slug: str, domain: str) -> LiveLink | None:
        """A link; on a domain, its own before the one of every domain.

        Raises:
            LinksUnavailable: the database does not answer.
        """
        if self._paused_until and self._timer() < self._paused_until:
            raise LinksUnavailable(str(self.path))
        try:
            link = self._read(slug, domain)
            if link is None and domain:
                link = self._read(slug, "")
        except sqlite3.Error as error:
            self.failures += 1
            self.close()
            self._paused_until = self._timer() + PAUSE_S
            raise LinksUnavailable(f"{self.path}: {error}") from error
        self._paused_until = 0.0
        if link is None and not self._complete():
            raise LinksUnavailable(f"{self.path} is being filled")
        return link

    def end_of_tick(self) -> None:
        """What is read from now on is as new as it can be."""
        if self._connection is not None and self._connection.in_transaction:
            self._connection.commit()

    def close(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    def _read(self, slug: str, domain: str) -> LiveLink | None:
        cursor = self._cursor or self._open()
        if self.at_end_of_tick is not None and not cursor.connection.in_transaction:
            cursor.execute("BEGIN")
            self.at_end_of_tick(self.end_of_tick)
        row = cursor.execute(_FIND, (slug, domain)).fetchone()
        if row is None:
            return None
        compiled, version, rowid = row
        return self._loader.load_compiled(compiled, version=version) or self._prepare(cursor, rowid)

    def _prepare(self, cursor: sqlite3.Cursor, rowid: int) -> LiveLink | None:
        row = cursor.execute(_DEFINITION, (rowid,)).fetchone()
        if row is None:
            return None
        link_id, version, definition, updated_at = row
        return self._loader.load(
            Link(link_id=link_id, version=version, definition=_definition(definition), updated_at=updated_at)
        )

    def _open(self) -> sqlite3.Cursor:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_MS / 1000,
        )
        connection.execute(f"PRAGMA cache_size = -{_PAGES_KB}")
        self._connection, self._cursor = connection, connection.cursor()
        return self._cursor
