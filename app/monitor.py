"""The monitor as an object: what it is made of for its role, what it serves, how it starts and stops."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter
from prometheus_client import REGISTRY
from starlette.types import ASGIApp

from app import health, metrics
from app.conclusions import Conclusions
from app.console.data import ConsoleData
from app.console.layout import SourceAge
from app.console.pages import Console
from app.console.pages import install as install_console
from app.erasing import Erasing
from app.health import Check
from app.http import PublicOnly, build_app, build_otlp_app
from app.parts import ROLES, Base, Ingestion, Shipping, links_router
from app.serving import Site
from app.sessions import Sessions
from app.settings import Settings
from app.sign_in import build_router as build_sign_in_router
from core.clock import DAY_MS
from core.schedule import Periodic
from core.store.read_server import build_read_app
from correlator.completeness import JOURNAL
from correlator.freshness import SourceFreshness, freshness
from correlator.period import Question
from redirect.metrics import RedirectCollector

#: A source in one of these states is shown as late.
LATE_STATES = {"late", "stalled", "silent"}


class Part(Protocol):
    """Something with threads. `stop` is bounded in time and may be called without `start`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Monitor:
    """Built from settings; `start` and `stop` run its threads, `sites` is what it serves."""

    def __init__(self, settings: Settings, *, role: str = "monitor") -> None:
        self.settings = settings
        self.role = ROLES[role]
        self.base = Base(settings, name=role)
        self.shipping = Shipping(self.base) if self.role.ships else None
        self.erasing = Erasing(self.base, self.shipping) if self.shipping is not None else None
        self.ingestion = Ingestion(self.base) if self.role.ingests else None
        self.conclusions = Conclusions(self.base, self.shipping) if self.role.concludes and self.shipping else None
        self._register_metrics()

    def start(self) -> None:
        for part in reversed(self._in_order_of_flow()):
            part.start()

    def stop(self) -> None:
        """In the order the data flows, so that the last lines still reach the store."""
        for part in self._in_order_of_flow():
            part.stop()
        self.base.close()

    def sites(self, sockets: dict[str, socket.socket]) -> list[Site]:
        """The applications for those sockets that this process was given."""
        settings = self.settings.monitor
        sessions = Sessions(self.base.control, self.base.keys, hours=settings.session_hours)
        app = build_app(self._routers(sessions), max_body_bytes=settings.max_body_bytes, sessions=sessions)
        if self.conclusions is not None:
            install_console(app, self._console(self.conclusions))
        cert, key = settings.tls_cert, settings.tls_key
        found = []
        if "monitor" in sockets:
            site = Site(name="monitor", app=app, sock=sockets["monitor"], lifespan=True, tls_cert=cert, tls_key=key)
            found.append(site)
        if "public" in sockets:
            site = Site(
                name="public", app=PublicOnly(app), sock=sockets["public"], strangers=True, tls_cert=cert, tls_key=key
            )
            found.append(site)
        if "otlp" in sockets and self.ingestion is not None:
            otlp = build_otlp_app(self.ingestion.otlp_router, max_body_bytes=settings.max_body_bytes)
            found.append(Site(name="otlp", app=otlp, sock=sockets["otlp"]))
        if "read" in sockets:
            found.append(Site(name="read", app=self._read_app(), sock=sockets["read"]))
        return found

    def checks(self) -> list[Check]:
        """What /readyz says."""
        stats = self.base.journal.stats
        figures: dict[str, float] = {"waiting_lines": stats.ring_lines, "lost": stats.lost}
        found = [Check(name="journal", ok=self.base.journal.healthy, detail=stats.last_error, figures=figures)]
        if self.shipping is not None:
            found.append(self._shipper_check(self.shipping))
        return found

    def _shipper_check(self, shipping: Shipping) -> Check:
        """Whether what is journaled reaches the store; a store that does not answer shows here."""
        behind = shipping.last.behind_bytes
        recent = self.base.clock() - shipping.last_success_ms < health.LONGEST_PAUSE_MS
        figures: dict[str, float] = {
            "behind_bytes": behind,
            "lines": shipping.lines,
            "failures": shipping.loop.failures,
        }
        detail = "" if recent else "nothing was shipped for a minute: the store does not answer"
        return Check(name="shipper", ok=recent and behind < health.BEHIND_BYTES, detail=detail, figures=figures)

    def _read_app(self) -> ASGIApp:
        """The ClickHouse protocol for keys that read everything."""

        def may_read_all(key: str) -> bool:
            principal = self.base.keys.check(key)
            return principal is not None and not principal.clients and bool({"read", "admin"} & principal.scopes)

        return build_read_app(self.settings.store, self.settings.data_dir, key_check=may_read_all)

    def freshness(self) -> list[SourceAge]:
        """How far every source is complete, as of now."""
        assert self.shipping is not None
        now = self.base.clock()
        question = Question(since=now - DAY_MS, until=now, now=now)
        found = freshness(self.base.store, question, shipped=self.shipping.shipper.shipped_through(now))
        return [source_age(source) for source in found.sources]

    def _in_order_of_flow(self) -> Sequence[Part]:
        parts: list[Part | None] = [self.ingestion, self.conclusions, self.erasing, self.shipping]
        return [part for part in parts if part is not None]

    def _routers(self, sessions: Sessions) -> list[APIRouter]:
        routers = [health.build_router(self.checks), metrics.build_router(REGISTRY)]
        if self.ingestion is not None:
            routers += self.ingestion.routers
        if self.conclusions is not None:
            secure = bool(self.settings.monitor.tls_cert)
            routers += [links_router(self.base), *self.conclusions.routers]
            routers += [self.erasing.router] if self.erasing is not None else []
            routers.append(build_sign_in_router(self.base.keys, sessions, secure=secure))
        return routers

    def _console(self, conclusions: Conclusions) -> Console:
        ledger = conclusions.alerts.ledger
        origin = self.settings.detection.steering_origin
        data = ConsoleData(self.base.store, ledger, config=self.settings.correlator, steering_origin=origin)
        return Console(data, conclusions.desk, freshness=self.freshness, clock=self.base.clock)

    def _register_metrics(self) -> None:
        loops: list[Periodic] = [self.shipping.loop] if self.shipping is not None else []
        loops += [self.erasing.loop] if self.erasing is not None else []
        loops += self.conclusions.loops if self.conclusions is not None else []
        leadership = self.conclusions.leadership if self.conclusions is not None else None
        eraser = self.erasing.eraser if self.erasing is not None else None
        collector = metrics.MonitorCollector(
            self.base, shipping=self.shipping, eraser=eraser, loops=loops, leadership=leadership
        )
        REGISTRY.register(collector)
        REGISTRY.register(RedirectCollector(self.settings.data_dir))
        if self.shipping is not None:
            REGISTRY.register(self.shipping.telemetry.metrics)


def source_age(source: SourceFreshness) -> SourceAge:
    """A source's freshness for the console's strip. Live decisions rest on the journal, and wait for no platform's report."""
    state = "late" if source.state in LATE_STATES else "ok"
    live = source.source == JOURNAL
    name = "Clicks and orders" if live else source.source.replace("_", " ")
    return SourceAge(name=name, complete_through=source.complete_through_ms, state=state, live=live)
