"""A redirect worker: one process, one thread for requests, sockets inherited from the supervisor.

`run_worker` is the spawn-safe entry point: importable by name, all arguments picklable, nothing done at import.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
import uvloop

from core.clock import Clock, now_ms
from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.proxies import TrustedProxies
from core.rate_limit import RateLimit
from core.settings import JournalConfig
from redirect import previews
from redirect.config import RedirectConfig
from redirect.counters import Counters
from redirect.country import Countries
from redirect.handler import World
from redirect.open_files import room_for
from redirect.pages import load_pages
from redirect.parser import Limits
from redirect.privacy import Networks
from redirect.rate_limit import HitLimit
from redirect.refusal_log import RefusalLog
from redirect.server import Server, connection_factory
from redirect.snippet.load import load_snippet
from redirect.tls import Certificate
from redirect.worker_links import WorkerLinks

log = structlog.get_logger(__name__)

JOURNAL_DIR = "journal"
_UPKEEP_S = 1.0
#: New connections taken in one turn of the event loop. libuv takes one of each listening descriptor, so every listener is watched through as many copies.
#: Taken one by one, each answer wakes a client that sleeps again before the next; taken together, the answers share a write to the journal too.
ACCEPTS_A_TURN = 6
#: Links not refreshed for this long make health say "degraded".
STALE_LINKS_MS = 10_000


class Worker:
    """Everything one worker holds; built by `run_worker`, and by tests in their own event loop."""

    def __init__(
        self,
        config: RedirectConfig,
        *,
        data_dir: Path,
        control_url: str,
        index: int,
        journal: JournalConfig | None = None,
        clock: Clock = now_ms,
    ) -> None:
        self.config = config
        self.index = index
        self.clock = clock
        self.counters = Counters(data_dir, index=index)
        self._refusals = RefusalLog(self.counters)
        self.journal = JournalWriter(
            data_dir / JOURNAL_DIR,
            config=journal or JournalConfig.model_validate({}),
            clock=clock,
            name=f"redirect-{index}",
        )
        networks = Networks()
        self.links = WorkerLinks(
            open_control(control_url, data_dir, migrate=False),
            networks,
            config=config,
            data_dir=data_dir,
            index=index,
            clock=clock,
        )
        self.certificate = Certificate(Path(config.tls_cert), Path(config.tls_key)) if config.tls_cert else None
        self.world = World(
            links=self.links.table,
            usage=self.links.usage,
            signatures=self.links.signatures,
            pages=load_pages(note=config.page_note, path=config.page_html),
            hits=HitLimit(
                per_address=config.address_hits_per_second,
                per_network=config.network_hits_per_second,
                journaled=config.limited_hits_journaled_per_second,
            ),
            networks=networks,
            snippet=load_snippet(config.sites),
            health=self.health,
            limit=RateLimit(per_second=config.events_per_second),
            domains=frozenset(domain.lower().encode() for domain in config.domains),
            origins=frozenset(site.lower().encode() for site in config.sites),
            cookie_domain=config.cookie_domain.encode(),
            countries=Countries(Path(config.country_database) if config.country_database else None),
        )
        self.server: Server | None = None
        self._listeners: list[asyncio.AbstractServer] = []
        self._upkeep: asyncio.TimerHandle | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections. The sockets are this process's own copies."""
        self.links.load(self.clock())
        loop = asyncio.get_running_loop()
        self.links.start(soon=loop.call_soon, soon_from_another_thread=loop.call_soon_threadsafe)
        previews.load()
        self.server = Server(
            self.world,
            journal=self.journal,
            counters=self.counters,
            limits=_limits(self.config),
            proxies=TrustedProxies(self.config.trusted_proxies),
            secure=self.certificate is not None,
            answer_after_fsync=self.config.answer_after_fsync,
            clock=self.clock,
        )
        self.counters.set("started_ms", self.clock())
        loop = asyncio.get_running_loop()
        context = self.certificate.context if self.certificate else None
        handshake_s = self.config.header_timeout_s if self.certificate else None
        for listener in sockets:
            listener.setblocking(False)
            copies = [listener, *(listener.dup() for _ in range(ACCEPTS_A_TURN - 1))]
            self._listeners += [
                await loop.create_server(
                    connection_factory(self.server),
                    sock=copy,
                    backlog=2048,
                    ssl=context,
                    ssl_handshake_timeout=handshake_s,
                )
                for copy in copies
            ]
        self._keep_up()

    async def stop(self) -> None:
        """Stop accepting, finish what is under way, close the journal. Safe to call twice and without `start`."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        if self.server is not None:
            await self.server.drain(self.config.drain_timeout_s)
            self.server = None
        if self._upkeep is not None:
            self._upkeep.cancel()
        self.links.stop()
        self.journal.close()
        self._copy_state()
        self._refusals.tell()

    def health(self) -> tuple[int, bytes]:
        """(HTTP status, JSON): 200 while we redirect, even degraded; 503 while draining."""
        stats = self.journal.stats
        refreshed_at = self.links.cache.refreshed_at
        age_ms = self.clock() - refreshed_at if refreshed_at else None
        stale = age_ms is None or age_ms > STALE_LINKS_MS
        draining = self.server is not None and self.server.draining
        status = "draining" if draining else "ok" if self.journal.healthy and not stale else "degraded"
        body = {
            "status": status,
            "worker": self.index,
            "journal": {
                "healthy": self.journal.healthy,
                "appended": stats.appended,
                "unjournaled": stats.unjournaled,
                "lost": stats.lost,
                "ring_bytes": stats.ring_bytes,
                "last_error": stats.last_error,
            },
            "links": {"in_memory": len(self.links.table), "age_ms": age_ms, "failures": self.links.failures},
        }
        return (503 if draining else 200), msgspec.json.encode(body) + b"\n"

    def _keep_up(self) -> None:
        """Once a second, off the path of any request: counters from the journal, what was refused, a changed certificate."""
        self._copy_state()
        self._refusals.tell_if_due(time.monotonic())
        if self.certificate is not None:
            self.certificate.reload_if_changed()
        self._upkeep = asyncio.get_running_loop().call_later(_UPKEEP_S, self._keep_up)

    def _copy_state(self) -> None:
        stats, counters, links = self.journal.stats, self.counters, self.links
        counters.add("unjournaled", stats.unjournaled - self._copied[0])
        counters.add("lost", stats.lost - self._copied[1])
        counters.add("links_failures", links.failures - self._copied[2])
        counters.add("links_reads", links.table.reads - self._copied[3])
        self._copied = (stats.unjournaled, stats.lost, links.failures, links.table.reads)
        counters.set("ring_bytes", stats.ring_bytes)
        counters.set("links", len(links.table))
        counters.set("links_bytes", links.table.memory_bytes)
        counters.set("links_refreshed_ms", links.cache.refreshed_at)

    #: What of the journal's and the links' own counts was already added to the shared counters.
    _copied: tuple[int, int, int, int] = (0, 0, 0, 0)


def run_worker(
    *,
    sockets: Sequence[socket.socket | int],
    config: RedirectConfig,
    data_dir: Path,
    control_url: str,
    index: int,
    journal: JournalConfig | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        sockets: listening sockets, or their inherited file descriptors.
        control_url: as in settings; "" = SQLite in the data directory. The schema must be up to date.
        index: number of the worker on this machine; names its counters and its journal writer.
        journal: settings of the journal; None = their defaults.
    """
    listeners = [one if isinstance(one, socket.socket) else socket.socket(fileno=one) for one in sockets]
    config = config.model_copy(update={"max_connections": room_for(config.max_connections)})
    worker = Worker(config, data_dir=data_dir, control_url=control_url, index=index, journal=journal)
    try:
        uvloop.run(_serve(worker, listeners))
    finally:
        worker.journal.close()


async def _serve(worker: Worker, sockets: Sequence[socket.socket]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    await worker.start(sockets)
    # What was made so far lives as long as the process: the collector need not walk it again and again.
    gc.freeze()
    log.info("redirect worker ready", index=worker.index)
    await stopping.wait()
    await worker.stop()


def _limits(config: RedirectConfig) -> Limits:
    """The plain struct of the hot path; both name the same things."""
    return Limits(**{name: getattr(config, name) for name in Limits.__struct_fields__})
