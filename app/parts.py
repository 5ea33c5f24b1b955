"""Connects the parts: builds what the monitor runs from the settings, starts it, and stops it in order.

Building is separate from running: constructors connect, `start` starts threads, `stop` ends them in the order the data flows, each
within a bound, and ships what they wrote last. A role says which parts this process has (`ROLES`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import msgspec
import structlog
from fastapi import APIRouter

from app.auth import KeyAuthorization, KeyRing
from app.leadership import Leadership, installation_name
from app.settings import Settings
from collectors.door import Door
from collectors.hooks import api as hooks_api
from collectors.hooks.deliveries import Deliveries
from collectors.hooks.registry import build_hooks
from collectors.otlp import api as otlp_api
from collectors.otlp.click_lookup import StoreClicks
from collectors.otlp.receiver import Receiver
from collectors.otlp.versions import NewVersions, StoreDeploys
from collectors.postback import api as postback_api
from collectors.postback.lives import Lives
from collectors.push import api as push_api
from collectors.registry import build_sources
from collectors.runner import Runner
from collectors.versions import Versions
from core.click_telemetry import ClickTelemetry, recent_clicks
from core.clock import Clock, now_ms
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.errors import ClicktraceError
from core.journal.writer import JournalWriter
from core.schedule import Periodic
from core.shipper import Shipper, ShipReport
from core.store.client import Store, open_store
from redirect.links.api import build_router as build_links_router
from redirect.links.store import LinkStore
from redirect.links.use import read_use
from redirect.reasons import BOT_SIGNALS
from redirect.signing_keys import signing_keys

log = structlog.get_logger(__name__)

JOURNAL_DIR = "journal"
#: Of several processes that could read the sources, one does.
READER_ROLE = "collectors"
#: At a clean stop, shipping what is left may take this long; the next start ships the rest.
LAST_SHIPPING_S = 5.0


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts a process runs."""

    ships: bool = False
    ingests: bool = False
    concludes: bool = False  # correlator, detection, alerts, reading routes, console


ROLES = {
    "monitor": Role(ships=True, ingests=True, concludes=True),
    "ship": Role(ships=True),
    "ingest": Role(ingests=True),
}


class Base:
    """What every role opens: control database, keys, this process's own journal writer, the store."""

    def __init__(self, settings: Settings, *, name: str, clock: Clock = now_ms) -> None:
        self.settings = settings
        self.clock = clock
        self.name = name
        self.control = open_control(settings.control.url, settings.data_dir)
        self.keys = KeyRing(self.control, clock=clock)
        self.authorize = KeyAuthorization(self.keys)
        self.journal_dir = settings.data_dir / JOURNAL_DIR
        self.journal = JournalWriter(self.journal_dir, config=settings.journal, clock=clock, name=name)
        self.store: Store = open_store(settings.store, settings.data_dir)
        #: One for each round of work that reads facts and writes what follows from them; held while it runs.
        self.rounds: list[threading.Lock] = []

    def settled(self) -> None:
        """Return when every round that had begun is over."""
        for running in self.rounds:
            with running:
                pass

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.control.dispose()


class Shipping:
    """The shipper's loop, and what it did last."""

    def __init__(self, base: Base) -> None:
        self._base = base
        telemetry = base.settings.telemetry
        endpoint = traces_url(telemetry.otlp_endpoint)
        self.telemetry = ClickTelemetry(
            endpoint=endpoint,
            sampling=telemetry.sample_ratio,
            known=recent_clicks(base.store, now=base.clock()) if endpoint else (),
            signals=BOT_SIGNALS,
            clock=base.clock,
        )
        self.shipper = Shipper(
            base.store,
            base.control,
            base.journal_dir,
            config=base.settings.journal,
            clock=base.clock,
            observers=[self.telemetry],
        )
        self.last = ShipReport()
        self.last_success_ms = 0
        self.lines = 0
        self.bytes = 0
        self.dead_letters = 0
        self.loop = Periodic("shipper", self._run, interval_s=base.settings.monitor.ship_interval_s, clock=base.clock)

    def ship_now(self) -> None:
        """Load what was journaled before this call.

        Raises:
            StoreError: the store did not take it.
        """
        while self._ship().ranges:
            pass

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        """Stop the loop and ship what was written last, within a bound."""
        self.loop.stop()
        deadline = self._base.clock() + int(LAST_SHIPPING_S * 1000)
        try:
            while self._ship().behind_bytes and self._base.clock() < deadline:
                pass
        except ClicktraceError as error:
            log.warning("the last lines were not shipped; the next start ships them", error=str(error))
        self.telemetry.close()

    def _run(self, _now: int) -> None:
        self._ship()

    def _ship(self) -> ShipReport:
        report = self.shipper.run_once()
        self.last = report
        self.last_success_ms = self._base.clock()
        self.lines += report.lines
        self.bytes += report.bytes
        self.dead_letters += report.dead_letters
        return report


class Ingestion:
    """The doors through which facts come in: push endpoints, OTLP, and the sources that are read at intervals."""

    def __init__(self, base: Base) -> None:
        settings = base.settings
        self.versions = Versions(base.store, clock=base.clock)
        self.receiver = Receiver(
            base.journal,
            StoreClicks(base.store),
            config=settings.collectors.otlp,
            versions=NewVersions(Checkpoints(base.control, "otlp", clock=base.clock), StoreDeploys(base.store)),
            clock=base.clock,
        )
        self.otlp_router = otlp_api.build_router(
            self.receiver, authorize=base.authorize, config=settings.collectors.otlp, clock=base.clock
        )
        self.push_router = push_api.build_router(
            base.journal,
            authorize=base.authorize,
            versions=self.versions,
            client_of=client_of(settings),
            config=settings.collectors.push,
            clock=base.clock,
        )
        self.internet_routers = internet_routers(base, versions=self.versions)
        self.leadership = Leadership(
            base.control,
            READER_ROLE,
            holder=f"{installation_name(settings.data_dir)}:{base.name}"[-128:],
            lease_s=settings.monitor.lease_s,
            clock=base.clock,
        )
        self.runner = Runner(
            build_sources(settings.collectors, settings.accounts),
            base.journal,
            Checkpoints(base.control, "collectors", clock=base.clock),
            versions=self.versions,
            poll_interval_s=settings.collectors.poll_interval_s,
            concurrency=settings.collectors.concurrency,
            clock=base.clock,
            leads=self.leadership.hold,
        )

    @property
    def routers(self) -> list[APIRouter]:
        return [self.push_router, self.otlp_router, *self.internet_routers]

    def start(self) -> None:
        self.receiver.start()
        self.runner.start()

    def stop(self) -> None:
        self.runner.stop()
        if self.leadership.leads:
            self.leadership.release()
        self.receiver.stop()


def internet_routers(base: Base, *, versions: Versions) -> list[APIRouter]:
    """Hooks and postbacks: the doors that the public listener shows, too."""
    collectors = base.settings.collectors
    door = Door(collectors.door, clock=base.clock)
    hooks = hooks_api.build_router(
        build_hooks(collectors),
        base.journal,
        door=door,
        versions=versions,
        deliveries=Deliveries(base.control, remember_s=collectors.hooks.remember_s),
        public_url=base.settings.public_url,
        config=collectors.hooks,
        clock=base.clock,
    )
    postbacks = postback_api.build_router(
        base.journal,
        door=door,
        check_key=base.keys.check,
        lives=Lives(base.control, remember_days=collectors.postback.remember_days),
        config=collectors.postback,
        clock=base.clock,
    )
    return [hooks, postbacks]


def traces_url(endpoint: str) -> str:
    """The traces address of an OTLP/HTTP endpoint, which is configured by its base as OpenTelemetry's own settings are."""
    if not endpoint or endpoint.endswith("/v1/traces"):
        return endpoint
    return endpoint.rstrip("/") + "/v1/traces"


def link_store(base: Base) -> LinkStore:
    """The links of this installation's control database."""
    redirect = base.settings.redirect
    return LinkStore(
        base.control,
        allowed_destinations=redirect.allowed_destinations,
        own_hosts=redirect.own_hosts,
        base_url=redirect.base_url,
        clock=base.clock,
    )


def links_router(base: Base) -> APIRouter:
    """/api/v1/links."""
    redirect = base.settings.redirect
    return build_links_router(
        link_store(base),
        authorize=base.authorize,
        signing_key=signing_keys(base.control, redirect.signing_keys, now=base.clock())[0],
        domains=redirect.domains,
        read_use=partial(read_use, base.store),
    )


def client_of(settings: Settings) -> Callable[[str, str], str]:
    """(platform, account) -> the client that owns the account, "" when unknown."""
    owners = {f"{account.platform}:{account.account}": account.client for account in settings.accounts}
    return lambda platform, account: owners.get(f"{platform}:{account}", "")
