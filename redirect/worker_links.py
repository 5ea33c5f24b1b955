"""Everything a worker has to do with links: those in memory, where the others are read, what changes, how often they were clicked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from core.clock import Clock, now_ms
from core.destinations import AllowList
from redirect.compiled import Loader
from redirect.config import RedirectConfig
from redirect.link_cache import Deliver, LinkCache
from redirect.link_replica import LinkReplica
from redirect.link_source import SqliteLinks
from redirect.link_table import LinkTable
from redirect.privacy import Networks
from redirect.signing import Signatures
from redirect.signing_keys import SigningKeys
from redirect.usage import Usage
from redirect.usage_sync import Identity, UsageSync

MEGABYTE = 1024 * 1024


class WorkerLinks:
    """Built before the worker serves; `load` reads once, `start` keeps everything fresh in threads.

    Args:
        engine: the control database. If it is no SQLite file, links are read from this node's copy of it.
    """

    def __init__(
        self,
        engine: Engine,
        networks: Networks,
        *,
        config: RedirectConfig,
        data_dir: Path,
        index: int,
        clock: Clock = now_ms,
    ) -> None:
        allowed = AllowList(config.allowed_destinations, own=config.own_hosts)
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self.replica = None if file else LinkReplica(engine, data_dir)
        self.source = _source(file, self.replica, loader=Loader(allowed))
        self.table = LinkTable(self.source, max_bytes=config.links_memory_mb * MEGABYTE)
        self.signatures = Signatures()
        self.cache = LinkCache(
            engine,
            self.table,
            networks,
            allowed=allowed,
            replica=self.replica,
            signing=SigningKeys(engine, config.signing_keys, self.signatures),
            interval_s=config.links_refresh_s,
            clock=clock,
        )
        self.usage = Usage()
        self._identity = Identity(data_dir, index=index)
        self._sync = UsageSync(engine, self.usage, worker=self._identity.name, clock=clock)

    @property
    def failures(self) -> int:
        """How often the control database refused something."""
        return self.cache.failures + self.source.failures + self._sync.failures

    def load(self, now: int) -> None:
        """Learn up to which change the links are known, the domains, and the day's salt."""
        self.cache.refresh(now)

    def start(self, *, soon: Deliver, soon_from_another_thread: Deliver) -> None:
        """Keep fresh; both run something on the thread that answers requests, when it has gone through what is ready now."""
        self.source.at_end_of_tick = soon
        self.cache.deliver = lambda work: soon_from_another_thread(lambda: self._take_over(work))
        self.cache.start()
        self._sync.start()

    def stop(self) -> None:
        self.cache.stop()
        self._sync.stop()
        self._identity.release()
        self.source.close()
        if self.replica is not None:
            self.replica.close()

    def _take_over(self, work: Callable[[], None]) -> None:
        # Whoever reads after this must not read from before the change.
        self.source.end_of_tick()
        work()


def _source(file: str | None, replica: LinkReplica | None, *, loader: Loader) -> SqliteLinks:
    if replica is None:
        assert file is not None
        return SqliteLinks(Path(file), loader=loader)
    complete: Callable[[], bool] = lambda: replica.complete  # noqa: E731 - asked at every read, so not its value of now
    return SqliteLinks(replica.path, loader=loader, complete=complete)
