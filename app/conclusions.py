"""What only the leader does: the correlator's tick, the daily reconciliation, the alerts' tick, the destination watch, the uploads, each in a thread
of its own.

They run at different paces, and a slow query of the correlator must not delay a return that a person has just asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import structlog
from fastapi import APIRouter

from alerts.api import Desk, build_approval_router
from alerts.api import build_router as build_actions_router
from alerts.pipeline import Alerts
from app.leadership import Leadership, installation_name
from app.parts import Base, Shipping, link_store
from app.settings import Settings
from app.uploading import Uploading
from app.watching import Watching
from core.clock import Clock
from core.control.checkpoints import Checkpoints
from core.schedule import Periodic
from core.store import retention
from core.vendors.registry import open_account
from correlator.api import build_router as build_reports_router
from correlator.daily_reconciliation import DailyReconciliation
from correlator.detection.config import DetectionConfig
from correlator.detection.engine import Detection
from correlator.detection.nightly import NightlyCheck
from correlator.engine import Correlator
from redirect.links.preparation import prepare_stale

log = structlog.get_logger(__name__)

LEADER_ROLE = "conclusions"
HEARTBEAT_TIMEOUT_S = 5.0
DAY_S = 86_400
#: One run at a time; a new installation catches up on its four weeks of days within half an hour.
RECONCILIATION_INTERVAL_S = 60.0


class Conclusions:
    """The correlator, the alerts, the watch and the uploads, run while this process leads."""

    def __init__(self, base: Base, shipping: Shipping) -> None:
        settings, clock = base.settings, base.clock
        self._rounds = base.rounds
        self.leadership = Leadership(
            base.control,
            LEADER_ROLE,
            holder=installation_name(settings.data_dir),
            lease_s=settings.monitor.lease_s,
            clock=clock,
        )
        self.detection = Detection(
            base.store,
            base.journal,
            Checkpoints(base.control, "detection", clock=clock),
            config=detection_config(settings),
            money=settings.correlator,
            clock=clock,
            shipped_through=shipping.shipper.shipped_through,
        )
        self._nightly = NightlyCheck(self.detection.exposure_check, Checkpoints(base.control, "detection", clock=clock))
        self.correlator = Correlator(
            base.store,
            base.journal,
            Checkpoints(base.control, "correlator", clock=clock),
            config=settings.correlator,
            clock=clock,
            further=[("detection", self.detection.tick), ("exposure_check", self._nightly.tick)],
            shipped_through=shipping.shipper.shipped_through,
        )
        self.reconciling = DailyReconciliation(
            base.store, config=settings.correlator, shipped_through=shipping.shipper.shipped_through
        )
        self.alerts = Alerts(
            base.store,
            base.control,
            base.journal,
            config=settings.alerts,
            accounts=settings.accounts,
            reporting_currency=settings.correlator.reporting_currency,
            rate_age_days=settings.correlator.rate_age_days,
            public_url=settings.public_url,
            open_account=open_account,
            clock=clock,
            shipped_through=shipping.shipper.shipped_through,
        )
        self.watching = Watching(base)
        self.uploading = Uploading(base)
        self._heartbeat = Heartbeat(settings.monitor.heartbeat_url)
        alerts_interval_s = settings.alerts.interval / 1000
        self._alerts_loop = self._leading("alerts", self.alerts.tick, interval_s=alerts_interval_s, clock=clock)
        self.loops = self._all_loops(base)
        self.desk = Desk(
            self.alerts.ledger,
            self.alerts.decisions,
            self.alerts.links,
            public_url=settings.public_url,
            clock=clock,
            on_change=self._alerts_loop.poke,
        )
        self.routers = self._routers(base, shipping)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    def stop(self) -> None:
        """Finish the ticks under way, give the leadership back."""
        self.watching.stop()
        self.uploading.finish()
        for loop in self.loops:
            loop.stop()
        self.detection.stop()
        self._nightly.stop()
        if self.leadership.leads:
            self.leadership.release()
        self.uploading.stop()
        self.alerts.close()
        self._heartbeat.close()

    def _all_loops(self, base: Base) -> list[Periodic]:
        """The work of the leader, each at its own pace."""
        allowed = link_store(base).allowed
        settings = base.settings
        paces: list[tuple[str, Callable[[int], object], float]] = [
            ("correlator", self._correlate, settings.correlator.tick_interval_s),
            ("reconciliation", self.reconciling.tick, RECONCILIATION_INTERVAL_S),
            ("link-preparation", lambda _now: prepare_stale(base.control, allowed=allowed), DAY_S),
            ("retention", lambda now: retention.apply(base.store, settings.retention, now=now), DAY_S),
            *self.watching.rounds(),
            *self.uploading.rounds(),
        ]
        loops = [self._leading(name, work, interval_s=pace, clock=base.clock) for name, work, pace in paces]
        return [*loops, self._alerts_loop]

    def _routers(self, base: Base, shipping: Shipping) -> list[APIRouter]:
        """What people read and decide about it."""
        settings, clock = base.settings, base.clock
        return [
            build_reports_router(
                base.store,
                authorize=base.authorize,
                shipped_through=shipping.shipper.shipped_through,
                worked_through=self.correlator.worked_through,
                config=settings.correlator,
                clock=clock,
                retention=settings.retention.days(),
            ),
            build_actions_router(self.desk, authorize=base.authorize),
            build_approval_router(self.desk),
            self.watching.router,
        ]

    def _leading(self, name: str, work: Callable[[int], object], *, interval_s: float, clock: Clock) -> Periodic:
        running = threading.Lock()
        self._rounds.append(running)

        def when_leading(now: int) -> None:
            if self.leadership.hold():
                with running:
                    work(now)

        return Periodic(name, when_leading, interval_s=interval_s, clock=clock)

    def _correlate(self, now: int) -> None:
        self.correlator.tick(now)
        self._heartbeat.beat()


def detection_config(settings: Settings) -> DetectionConfig:
    """Detection steers by the catalogue's types, unless it was told others."""
    if "steering_types" in settings.detection.model_fields_set:
        return settings.detection
    return settings.detection.model_copy(update={"steering_types": settings.correlator.steering_types()})


class Heartbeat:
    """Tells an outside service that the monitor is alive; its silence is the alarm."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=HEARTBEAT_TIMEOUT_S) if url else None

    def beat(self) -> None:
        if self._client is None:
            return
        try:
            self._client.get(self._url).raise_for_status()
        except httpx.HTTPError as error:  # the outside service notices by itself; the tick goes on
            log.warning("heartbeat not delivered", error=str(error))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
