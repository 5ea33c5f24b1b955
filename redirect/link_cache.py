"""Keeps a worker's links and salt fresh from the control database, in a thread of its own.

Links are read when they are hit (`redirect.link_table`); here only those that changed are looked up, by change number, and taken over
where they are in memory. The database may be away: the worker then serves what it has, and health says since when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock, now_ms
from core.control.tables import links
from core.destinations import AllowList
from core.schedule import Periodic
from redirect.compiled import Loader
from redirect.link_replica import LinkReplica
from redirect.link_table import Change, LinkTable
from redirect.links.store import to_link
from redirect.live_link import LiveLink
from redirect.privacy import Networks
from redirect.salts import Salts
from redirect.signing_keys import SigningKeys

#: Changes that are looked at together; the thread that answers requests takes them over in one go.
STRIDE: Final = 500
#: Runs something on the thread that owns the table.
Deliver = Callable[[Callable[[], None]], object]


def at_once(work: Callable[[], None]) -> None:
    """Deliver to a table that nobody else uses yet."""
    work()


class LinkCache:
    """Brings changed links into a LinkTable; `refreshed_at` is when the database last answered (ms).

    Args:
        replica: the node's copy of the links, where the control database is not a file of this machine.
    """

    def __init__(
        self,
        engine: Engine,
        table: LinkTable,
        networks: Networks,
        *,
        allowed: AllowList,
        replica: LinkReplica | None = None,
        signing: SigningKeys | None = None,
        interval_s: float = 0.5,
        clock: Clock = now_ms,
    ) -> None:
        self.refreshed_at = 0
        self.failures = 0
        self.deliver: Deliver = at_once
        self._links = replica.engine if replica else engine
        self._table = table
        self._networks = networks
        self._replica = replica
        self._loader = Loader(allowed)
        self._salts = Salts(engine)
        self._signing = signing
        self._seen: int | None = None
        self._periodic = Periodic("link-cache", self._tick, interval_s=interval_s, clock=clock)

    def start(self) -> None:
        self._periodic.start()

    def stop(self) -> None:
        self._periodic.stop()

    def refresh(self, now: int) -> bool:
        """Read what changed since the last refresh, the day's salt, and the signing key once. False when the database is away."""
        try:
            if self._replica is not None:
                self._replica.refresh()
            self._read_changes()
            self._salts.refresh(now)
            if self._signing is not None:
                self._signing.refresh(now)
        except (SQLAlchemyError, OSError):
            self.failures += 1
            return False
        finally:
            # At midnight the old salt must go even when the database is away; without one nothing is hashed.
            self._networks.use_salt(self._salts.known(now))
        self.refreshed_at = now
        return True

    def _tick(self, now: int) -> None:
        self.refresh(now)

    def _read_changes(self) -> None:
        with self._links.connect() as connection:
            newest = connection.execute(select(func.coalesce(func.max(links.c.change), 0))).scalar_one()
            if self._seen is None or newest < self._seen:
                # At the start, and when the database went back to a backup: nothing in memory can be told to be right.
                domains = domains_with_links(connection)
                self.deliver(lambda: self._start_over(domains))
                self._seen = newest
            while self._seen < newest:
                self._seen = self._read_some(connection, self._seen)

    def _start_over(self, domains: list[str]) -> None:
        self._table.forget()
        self._table.know_domains(domains)

    def _read_some(self, connection: Connection, seen: int) -> int:
        """Deliver the next changes; returns the number up to which they are seen."""
        query = select(links.c.change, links.c.link_id, links.c.slug, links.c.domain)
        rows = connection.execute(query.where(links.c.change > seen).order_by(links.c.change).limit(STRIDE)).all()
        live = self._load(connection, [row.link_id for row in rows if self._table.holds(row.slug)])
        changes = [Change(slug=row.slug, domain=row.domain, link=live.get(row.link_id)) for row in rows]
        self.deliver(lambda: self._table.apply(changes))
        return int(rows[-1].change)

    def _load(self, connection: Connection, link_ids: list[str]) -> dict[str, LiveLink]:
        if not link_ids:
            return {}
        rows = connection.execute(select(links).where(links.c.link_id.in_(link_ids)))
        return {row.link_id: self._loader.load(to_link(row)) for row in rows}


def domains_with_links(connection: Connection) -> list[str]:
    """Domains that have links of their own: one look into the index for each, however many links there are."""
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        domain = connection.execute(select(func.min(links.c.domain)).where(links.c.domain > after)).scalar()
        if domain is None:
            return found
        found.append(domain)
