"""The monitor as an object: what it is made of for its role, what it serves, how it starts and stops."""

from __future__ import annotations

import socket

from fastapi import APIRouter

from alerts.approval import Decisions
from alerts.ledger import Ledger
from app import health
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


class Monitor:
    """Built from settings; `start` and `stop` run its threads, `sites` is what it serves."""

    def __init__(self, settings: Settings, *, role: str = "monitor") -> None:
        self.settings = settings
        self.role = ROLES[role]
        self.base = Base(settings, name=role)
        self.shipping = Shipping(self.base) if self.role.ships else None
        self.ingestion = Ingestion(self.base) if self.role.ingests else None

    def start(self) -> None:
        for part in (self.shipping, self.ingestion):
            if part is not None:
                part.start()

    def stop(self) -> None:
        """In the order the data flows, so that the last lines still reach the store."""
        for part in (self.ingestion, self.shipping):
            if part is not None:
                part.stop()
        self.base.close()

    def sites(self, sockets: dict[str, socket.socket]) -> list[Site]:
        """The applications for those sockets that this process was given."""
        settings = self.settings.monitor
        sessions = Sessions(self.base.control, self.base.keys, hours=settings.session_hours)
        app = build_app(self._routers(sessions), max_body_bytes=settings.max_body_bytes, sessions=sessions)
        if self.role.concludes:
            install_console(app, self._console())
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

    def _routers(self, sessions: Sessions) -> list[APIRouter]:
        routers = [health.build_router(self.checks)]
        if self.ingestion is not None:
            routers += self.ingestion.routers
        if self.role.concludes:
            secure = bool(self.settings.monitor.tls_cert)
            routers += [links_router(self.base), build_sign_in_router(self.base.keys, sessions, secure=secure)]
        return routers

    def _console(self) -> Console:
        ledger = Ledger(self.base.control)
        data = ConsoleData(
            self.base.store,
            ledger,
            steering=self.settings.correlator.steering_types(),
            origin=self.settings.detection.steering_origin,
        )
        return Console(data, Decisions(ledger), freshness=self.freshness, clock=self.base.clock)

    def freshness(self) -> list[SourceAge]:
        """How far every source is complete; the shipped journal comes first."""
        assert self.shipping is not None
        through = self.shipping.shipper.shipped_through(self.base.clock())
        return [SourceAge(name="clicks", complete_through=through, state="ok", live=True)]

    def checks(self) -> list[Check]:
        """What /readyz says."""
        stats = self.base.journal.stats
        journal = Check(
            name="journal",
            ok=self.base.journal.healthy,
            detail=stats.last_error,
            figures={"waiting_lines": stats.ring_lines, "lost": stats.lost},
        )
        found = [journal]
        if self.shipping is not None:
            loop, last = self.shipping.loop, self.shipping.last
            behind = last.behind_bytes
            recent = self.base.clock() - loop.last_run_ms < health.LONGEST_PAUSE_MS
            figures = {"behind_bytes": float(behind), "lines": float(self.shipping.lines), "failures": loop.failures}
            found.append(Check(name="shipper", ok=recent and behind < health.BEHIND_BYTES, figures=figures))
        return found
