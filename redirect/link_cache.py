"""Keeps a worker's links and salt fresh from the control database, in a thread of its own.

The database may be away: the worker then serves what it knows, and health says since when.
"""

from __future__ import annotations

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock, now_ms
from core.control.tables import links
from core.schedule import Periodic
from redirect.destinations import AllowList
from redirect.links.store import to_link
from redirect.live_link import LinkTable, to_live
from redirect.privacy import Networks
from redirect.salts import Salts

#: Transactions may commit out of the order of their `updated_at`; what is this much older than the newest is read again.
OVERLAP_MS = 10_000


class LinkCache:
    """Reads changed links into a LinkTable; `refreshed_at` is when the database last answered (ms)."""

    def __init__(
        self,
        engine: Engine,
        table: LinkTable,
        networks: Networks,
        *,
        allowed: AllowList,
        interval_s: float = 0.5,
        clock: Clock = now_ms,
    ) -> None:
        self.refreshed_at = 0
        self.failures = 0
        self._engine = engine
        self._table = table
        self._networks = networks
        self._allowed = allowed
        self._salts = Salts(engine)
        self._newest = 0
        self._periodic = Periodic("link-cache", self._tick, interval_s=interval_s, clock=clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()

    def refresh(self, now: int) -> bool:
        """Read what changed since the last refresh, and the day's salt. False when the database is away."""
        try:
            self._read_links()
            self._salts.refresh(now)
        except SQLAlchemyError:
            self.failures += 1
            return False
        finally:
            # At midnight the old salt must go even when the database is away; without one nothing is hashed.
            self._networks.use_salt(self._salts.known(now))
        self.refreshed_at = now
        return True

    def _tick(self, now: int) -> None:
        self.refresh(now)

    def _read_links(self) -> None:
        query = select(links).where(links.c.updated_at > self._newest - OVERLAP_MS)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query):
                link = to_link(row)
                self._newest = max(self._newest, link.updated_at)
                self._table.put(to_live(link, allowed=self._allowed))
