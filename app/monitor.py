"""The monitor as an object: what it is made of for its role, what it serves, how it starts and stops."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter
from prometheus_client import REGISTRY

from alerts.approval import Decisions
from app import health, metrics
from app.conclusions import Conclusions
from app.console.data import ConsoleData
from app.console.layout import SourceAge
from app.console.pages import Console
from app.console.pages import install as install_console
from app.health import Check
from app.http import PublicOnly, build_app, build_otlp_app
from app.parts import ROLES, Base, Ingestion, Shipping, links_router
from app.serving import Site
from app.sessions import Sessions
from app.settings import Settings
from app.sign_in import build_router as build_sign_in_router
from core.schedule import Periodic
from redirect.metrics import RedirectCollector


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
            found.append(Site(name="public", app=PublicOnly(app), sock=sockets["public"], tls_cert=cert, tls_key=key))
        if "otlp" in sockets and self.ingestion is not None:
            otlp = build_otlp_app(self.ingestion.otlp_router, max_body_bytes=settings.max_body_bytes)
            found.append(Site(name="otlp", app=otlp, sock=sockets["otlp"]))
        return found

    def checks(self) -> list[Check]:
        """What /readyz says."""
        stats = self.base.journal.stats
        figures: dict[str, float] = {"waiting_lines": stats.ring_lines, "lost": stats.lost}
        found = [Check(name="journal", ok=self.base.journal.healthy, detail=stats.last_error, figures=figures)]
        if self.shipping is not None:
            behind = self.shipping.last.behind_bytes
            recent = self.base.clock() - self.shipping.loop.last_run_ms < health.LONGEST_PAUSE_MS
            figures = {"behind_bytes": behind, "lines": self.shipping.lines, "failures": self.shipping.loop.failures}
            found.append(Check(name="shipper", ok=recent and behind < health.BEHIND_BYTES, figures=figures))
        return found

    def freshness(self) -> list[SourceAge]:
        """How far every source is complete; the shipped journal comes first."""
        assert self.shipping is not None
        through = self.shipping.shipper.shipped_through(self.base.clock())
        return [SourceAge(name="clicks", complete_through=through, state="ok", live=True)]

    def _in_order_of_flow(self) -> Sequence[Part]:
        parts: list[Part | None] = [self.ingestion, self.conclusions, self.shipping]
        return [part for part in parts if part is not None]

    def _routers(self, sessions: Sessions) -> list[APIRouter]:
        routers = [health.build_router(self.checks), metrics.build_router(REGISTRY)]
        if self.ingestion is not None:
            routers += self.ingestion.routers
        if self.conclusions is not None:
            secure = bool(self.settings.monitor.tls_cert)
            routers += [links_router(self.base), build_sign_in_router(self.base.keys, sessions, secure=secure)]
        return routers

    def _console(self, conclusions: Conclusions) -> Console:
        ledger = conclusions.alerts.ledger
        data = ConsoleData(
            self.base.store,
            ledger,
            steering=self.settings.correlator.steering_types(),
            origin=self.settings.detection.steering_origin,
        )
        return Console(data, Decisions(ledger), freshness=self.freshness, clock=self.base.clock)

    def _register_metrics(self) -> None:
        loops: list[Periodic] = [self.shipping.loop] if self.shipping is not None else []
        loops += self.conclusions.loops if self.conclusions is not None else []
        leadership = self.conclusions.leadership if self.conclusions is not None else None
        collector = metrics.MonitorCollector(self.base, shipping=self.shipping, loops=loops, leadership=leadership)
        REGISTRY.register(collector)
        REGISTRY.register(RedirectCollector(self.settings.data_dir))
