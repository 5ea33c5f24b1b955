"""The destination watch as the monitor runs it: prober, canaries and their routes, connected from the settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from app.parts import Base, link_store
from core.destinations import AllowList, Destination
from core.visits.guard import Guard
from redirect.canary_mark import HEADER, mark
from redirect.counters import read_all
from redirect.privacy import Networks
from redirect.salts import Salts
from redirect.watch.api import build_router
from redirect.watch.canary import TICK_S, Canaries
from redirect.watch.check import Observation
from redirect.watch.prober import Prober
from redirect.watch.visit import Visitor

#: A round of looks takes only what is due, so it may come often.
PROBE_INTERVAL_S = 5.0


class Watching:
    """The watch of one installation. Its loops run where the conclusions do: with the leader."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._settings = base.settings.redirect
        self._salts = Salts(base.control)
        config = self._settings.watch
        allowed = AllowList(self._settings.allowed_destinations, own=self._settings.own_hosts)
        self._visitor = Visitor(
            Guard(allowed), timeout_s=config.timeout_s, max_hops=config.max_hops, headers_for=self._headers_for
        )
        self.prober = Prober(base.control, base.journal, self._look, config=config, allowed=allowed, clock=base.clock)
        self.canaries = Canaries(
            base.control,
            base.store,
            entrance=self._entrance,
            config=config,
            host=self._settings.domains[0] if self._settings.domains else "",
            clock=base.clock,
        )

        self.router = build_router(
            link_store(base), self.prober, base.store, authorize=base.authorize, clock=base.clock
        )

    def rounds(self) -> Iterator[tuple[str, Callable[[int], None], float]]:
        """What runs at intervals: (name, work, seconds)."""
        config = self._settings.watch
        if config.enabled:
            yield "watch", self.prober.tick, PROBE_INTERVAL_S
        if config.enabled and config.canary_interval_s:
            yield "canary", self.canaries.tick, min(config.canary_interval_s, TICK_S)

    def stop(self) -> None:
        """End what is under way; may be called twice."""
        self.prober.stop()
        self.canaries.stop()

    async def _look(self, url: str) -> Observation:
        return await self._visitor.look(url, click_id=secrets.token_hex(16))

    def _headers_for(self, destination: Destination) -> Mapping[str, str]:
        """A link may lead to another short link of ours: our visit of that one is no click either."""
        if destination.authority not in self._own_authorities():
            return {}
        now = self._base.clock()
        return {HEADER: mark(Networks(self._salts.refresh(now)), nonce=secrets.token_hex(8), now=now)}

    def _own_authorities(self) -> set[str]:
        return {urlsplit(self._settings.base_url).netloc, *self._settings.domains}

    def _entrance(self) -> str:
        """Where canaries enter: as configured, else this machine's redirect, else nowhere (the workers run elsewhere)."""
        if self._settings.watch.canary_url:
            return self._settings.watch.canary_url
        if not read_all(self._base.settings.data_dir):
            return ""
        scheme = "https" if self._settings.tls_cert else "http"
        host = self._settings.host if self._settings.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._settings.port}"
