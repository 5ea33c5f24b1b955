"""HTTP servers on sockets that were bound before: several uvicorn servers in one event loop, stopped together within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Generator, Sequence

import msgspec
import structlog
import uvicorn
from starlette.types import ASGIApp

from app.strangers import IDLE_S, MAX_CONNECTIONS, StrangersProtocol

log = structlog.get_logger(__name__)

#: Requests under way may finish this long after the stop; open console pages would hold the process up for ever.
DRAIN_S = 3


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One application on one listening socket. `lifespan` runs its start-up and shut-down hooks; `strangers` may call it."""

    name: str
    app: ASGIApp
    sock: socket.socket
    lifespan: bool = False
    strangers: bool = False
    tls_cert: str = ""
    tls_key: str = ""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: one process runs several servers and handles signals once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Servers:
    """Runs every site until `stop` is called or a signal to stop arrives."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self._servers = [_Server(_config(site)) for site in sites]

    async def run(self) -> None:
        """Serve until stopped.

        Raises:
            SystemExit: a site could not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_certificates)
        pairs = zip(self._servers, self._sites, strict=True)
        await asyncio.gather(*(server.serve(sockets=[site.sock]) for server, site in pairs))

    def stop(self) -> None:
        """Stop accepting, finish what is under way. May be called twice."""
        for server in self._servers:
            server.should_exit = True

    def reload_certificates(self) -> None:
        """Read certificates and keys again; connections from now on use them."""
        for server, site in zip(self._servers, self._sites, strict=True):
            if site.tls_cert and server.config.ssl is not None:
                try:
                    server.config.ssl.load_cert_chain(site.tls_cert, site.tls_key)
                except OSError as error:  # the old certificate stays in use
                    log.error("certificate not reloaded", site=site.name, error=str(error))


def _config(site: Site) -> uvicorn.Config:
    return uvicorn.Config(
        site.app,
        lifespan="on" if site.lifespan else "off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Else whoever calls through a proxy on this machine could choose the address that allow-lists and limits see.
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
        http=StrangersProtocol if site.strangers else "auto",
        ws="none" if site.strangers else "auto",
        limit_concurrency=MAX_CONNECTIONS if site.strangers else None,
        timeout_keep_alive=IDLE_S if site.strangers else 75,
        ssl_certfile=site.tls_cert or None,
        ssl_keyfile=site.tls_key or None,
    )
