"""A small simulated world that speaks through journal and shipper, with names of its own: visitors click, browse, order, and things break."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.clock import MINUTE_MS
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.journal.writer import JournalWriter
from core.records import DURATION_BOUNDS_S, Campaign, Click, Conversion, Deploy, Record, Service, Span, Touch
from core.settings import JournalConfig
from core.shipper import Shipper
from correlator.config import CorrelatorConfig
from correlator.detection.aside import at_once
from correlator.detection.config import DetectionConfig
from correlator.detection.engine import Detection
from correlator.engine import Correlator
from tests.conftest import START_MS, FakeClock, Ship
from tests.databases import Databases

STEP_MS = 10_000
DAY_MS = 86_400_000
AGENTS = {
    "mobile": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "desktop": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "tablet": "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
}
DEVICES = {"mobile": (0.55, 0.8), "desktop": (0.35, 1.3), "tablet": (0.10, 1.0)}  # share of clicks, factor of the rate
PAGES = ("garden.test/roses", "garden.test/tools", "garden.test/pots")


@dataclass(frozen=True)
class Ad:
    campaign: str
    page: str
    rate: float
    weight: float
    parallel: bool
    cpc_micros: int = 900_000


ADS = (
    Ad("google:501:1", PAGES[0], 0.10, 1.3, True),
    Ad("google:501:2", PAGES[1], 0.07, 1.0, True),
    Ad("google:501:3", PAGES[2], 0.05, 0.8, True),
    Ad("meta:502:1", PAGES[0], 0.08, 1.1, False),
    Ad("meta:502:2", PAGES[1], 0.06, 0.9, False),
    Ad("meta:502:3", PAGES[2], 0.11, 0.7, False),
    Ad("microsoft:503:1", PAGES[0], 0.09, 0.6, False),
    Ad("microsoft:503:2", PAGES[1], 0.08, 0.6, False),
)
WEIGHTS = np.asarray([ad.weight for ad in ADS]) / sum(ad.weight for ad in ADS)


@dataclass
class Fault:
    """What is wrong between `start` and `end`, for the visitors it concerns."""

    start: int
    end: int = 2**62
    order_fails: Callable[[Ad, str], float] = lambda ad, device: 0.0
    slower_s: Callable[[Ad], float] = lambda ad: 0.0
    keeps: Callable[[Ad, str], float] = lambda ad, device: 1.0
    redirect_fails: Callable[[Ad], bool] = lambda ad: False
    untracked: Callable[[Ad], bool] = lambda ad: False
    flood: Callable[[Ad], float] = lambda ad: 1.0

    def on(self, ts: int) -> bool:
        return self.start <= ts < self.end


@dataclass
class Attempt:
    """Somebody presses "order"."""

    ts: int
    ad: Ad | None
    device: str
    page: str
    click_id: str


@dataclass
class World:
    journal: Any
    ship: Any
    clock: Any
    store: Any
    control: Any
    seed: int = 1
    per_s: float = 40.0
    season: Callable[[int], float] = lambda ts: 1.0
    faults: list[Fault] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    organic_per_s: float = 0.6
    version: str = "2.0"

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.waiting: dict[int, list[Attempt]] = defaultdict(list)
        self.number = 0
        self.monitor()

    def monitor(self) -> None:
        """The product under test; called again it is a restart."""
        self.detection = Detection(
            self.store,
            self.journal,
            Checkpoints(self.control, "detection"),
            config=DetectionConfig(),
            clock=self.clock,
            shipped_through=self.ship.shipper.shipped_through,
            aside=at_once,
        )
        self.correlator = Correlator(
            self.store,
            self.journal,
            Checkpoints(self.control, "correlator"),
            config=CorrelatorConfig(),
            clock=self.clock,
            later=(),  # what follows detection changes nothing of it, and takes a fifth of a tick
            further=[("detection", self.detection.tick)],
        )

    # --- what a test does ------------------------------------------------------------------------------------------------------

    def past(self, *, days: int = 14, per_s: float = 0.1) -> World:
        """History as an import, claimed."""
        self.load(self.past_records(days=days, per_s=per_s))
        return self

    def load(self, records: list[Record]) -> None:
        self.journal.append_many(records, known_at=[r.ts for r in records])
        self.ship()

    def past_records(self, *, days: int, per_s: float) -> list[Record]:
        """Clicks, conversions and hourly service figures up to five minutes ago."""
        now = self.clock.now
        start, end = now - days * DAY_MS, now - 5 * MINUTE_MS
        records: list[Record] = [*self._campaigns(start)]
        times = np.sort(self.random.integers(start, end, self.random.poisson(per_s * days * 86_400)))
        ads = self.random.choice(len(ADS), len(times), p=WEIGHTS)
        devices = self.random.choice(list(DEVICES), len(times), p=[share for share, _ in DEVICES.values()])
        for ts, a, device in zip(times.tolist(), ads.tolist(), devices.tolist(), strict=True):
            click = self._click(ts, ADS[a], device, answered=True)
            records.append(click)
            attempt = self._decide(click, ADS[a], device)
            if attempt is not None and attempt.ts < now:
                records.append(self._order(attempt, tracked=True))
        for ts in range(start, end, 60 * MINUTE_MS):
            for device in DEVICES:
                records += [
                    self._service(ts, "GET /p", device, 300, 2, 0.12),
                    self._service(ts, "POST /order", device, 25, 0, 0.2),
                ]
        return records

    def run(self, minutes: float, *, every_s: int = 10, until: Callable[[], bool] = lambda: False) -> None:
        """Live traffic, a tick of the monitor every `every_s` (tens of seconds): a busy one ticks less often."""
        end = self.clock.now + round(minutes * MINUTE_MS)
        while self.clock.now < end and not until():
            self.step(every_s=every_s)

    def step(self, *, every_s: int = 10) -> None:
        for _ in range(0, every_s * 1000, STEP_MS):
            self._traffic()
        self.ship()
        self.correlator.tick(self.clock.now)
        self.ship()

    def _traffic(self) -> None:
        """Ten seconds of it, in the journal."""
        start = self.clock.now
        records = self._live(start)
        records.sort(key=lambda r: r.ts)
        for second in range(1, STEP_MS // 1000 + 1):  # each record is known within a second or two
            self.clock.now = start + 1000 * second
            known = [r for r in records if r.ts < self.clock.now]
            records = records[len(known) :]
            self.journal.append_many(known)
        self.journal.append_many(records)

    def breaks(self, *, after_s: float = 0.0, **what: Any) -> Fault:
        """Something breaks `after_s` from now; see `Fault` for what."""
        fault = Fault(self.clock.now + round(after_s * 1000), **what)
        self.faults.append(fault)
        return fault

    def deploy(self, service: str, version: str, *, change: str = "deploy", ts: int | None = None) -> None:
        at = self.clock.now if ts is None else ts
        self.journal.append(
            Deploy(
                ts=at,
                source="push",
                fact_id=f"deploy:{service}:{version}",
                service=service,
                version=version,
                change=change,
            )
        )
        if service == "shop":
            self.version = version

    def incidents(self) -> list[dict[str, Any]]:
        return self.store.rows("SELECT incident_id, state, verdict, payload FROM incident_current ORDER BY opened")

    # --- the visitors ----------------------------------------------------------------------------------------------------------

    def _fault(self, ts: int) -> Fault:
        return next((f for f in self.faults if f.on(ts)), Fault(0, 0))

    def _live(self, start: int) -> list[Record]:
        records: list[Record] = []
        pages: dict[tuple[str, float], int] = defaultdict(int)
        fault = self._fault(start)
        for ad, weight in zip(ADS, WEIGHTS, strict=True):
            if ad.campaign in self.paused:
                continue
            growth = fault.flood(ad)
            for device, (share, _) in DEVICES.items():
                people = self.random.poisson(self.per_s * 10 * weight * share)
                robots = self.random.poisson(self.per_s * 10 * weight * share * (growth - 1)) if growth > 1 else 0
                for k in range(people + robots):
                    ts = start + int(self.random.integers(0, STEP_MS))
                    records += self._visit(ts, ad, device, robot=k >= people, pages=pages)
        self._organic(start, pages)
        orders: dict[tuple[str, bool], int] = defaultdict(int)
        for attempt in sorted(self.waiting.pop(start // STEP_MS, []), key=lambda a: a.ts):
            records += self._press_order(attempt, orders)
        for (device, seconds), requests in pages.items():
            records.append(self._service(start, "GET /p", device, requests, 0, seconds))
        for (device, failed), requests in orders.items():
            records.append(self._service(start, "POST /order", device, requests, requests if failed else 0, 0.2))
        return records

    def _visit(self, ts: int, ad: Ad, device: str, *, robot: bool, pages: dict[tuple[str, float], int]) -> list[Record]:
        fault = self._fault(ts)
        lost = fault.redirect_fails(ad)
        click = self._click(ts, ad, device, answered=not lost)
        if robot or (lost and not ad.parallel):
            return [click]
        seconds = 0.12 + fault.slower_s(ad)
        pages[device, seconds] += 1
        attempt = self._decide(click, ad, device, keeps=fault.keeps(ad, device))
        if attempt is not None:
            self.waiting[attempt.ts // STEP_MS].append(attempt)
        known = "" if fault.untracked(ad) else click.click_id
        view = Touch(
            ts=ts + 300, source="snippet", name="page_view", click_id=known, page=ad.page, user_agent=AGENTS[device]
        )
        return [click, view, self._span(ts + 200, click.click_id, "GET /p", seconds=seconds)]

    def _organic(self, start: int, pages: dict[tuple[str, float], int]) -> None:
        for _ in range(self.random.poisson(self.organic_per_s * 10)):
            device = str(self.random.choice(list(DEVICES)))
            pages[device, 0.12] += 4
            ts = start + int(self.random.integers(0, STEP_MS))
            self.waiting[start // STEP_MS].append(Attempt(ts, None, device, str(self.random.choice(PAGES)), ""))

    def _decide(self, click: Click, ad: Ad, device: str, *, keeps: float = 1.0) -> Attempt | None:
        rate = ad.rate * DEVICES[device][1] * self.season(click.ts) * keeps
        if self.random.random() >= rate:
            return None
        delay = int(self.random.lognormal(np.log(20_000), 1.089))
        return Attempt(click.ts + delay, ad, device, ad.page, click.click_id)

    def _press_order(self, attempt: Attempt, orders: dict[tuple[str, bool], int]) -> list[Record]:
        fault = self._fault(attempt.ts)
        ad = attempt.ad or Ad("", attempt.page, 0, 0, False)
        failed = bool(self.random.random() < fault.order_fails(ad, attempt.device))
        orders[attempt.device, failed] += 1
        records: list[Record] = []
        if attempt.click_id and not fault.untracked(ad):
            records.append(self._span(attempt.ts, attempt.click_id, "POST /order", seconds=0.2, failed=failed))
        if failed:
            records.append(
                Touch(
                    ts=attempt.ts,
                    source="snippet",
                    name="form_error",
                    page=attempt.page,
                    user_agent=AGENTS[attempt.device],
                )
            )
        else:
            records.append(self._order(attempt, tracked=not fault.untracked(ad)))
        return records

    # --- the records -----------------------------------------------------------------------------------------------------------

    def _campaigns(self, ts: int) -> Iterator[Campaign]:
        for ad in ADS:
            platform, account, _ = ad.campaign.split(":")
            yield Campaign(
                ts=ts,
                source=f"{platform}_ads",
                fact_id=f"campaign:{ad.campaign}",
                campaign=ad.campaign,
                platform=platform,
                account=account,
                name=f"Campaign {ad.campaign[-1]} on {platform}",
                currency="USD",
                cpc_micros=ad.cpc_micros,
                margin_micros=30_000_000,
                parallel_tracking=ad.parallel,
            )

    def _click(self, ts: int, ad: Ad, device: str, *, answered: bool) -> Click:
        self.number += 1
        return Click(
            ts=ts,
            source="redirect",
            click_id=f"{self.seed:08x}{self.number:024x}",
            hit_id=f"{self.number:016x}",
            link_id="l" + ad.campaign,
            link_version=1,
            slug="s" + ad.campaign,
            domain="go.test",
            http_status=302 if answered else 503,
            reason="redirect" if answered else "unavailable",
            duration_us=80,
            page=ad.page,
            platform=ad.campaign.split(":")[0],
            campaign=ad.campaign,
            user_agent=AGENTS[device],
            parallel=ad.parallel,
        )

    def _order(self, attempt: Attempt, *, tracked: bool) -> Conversion:
        self.number += 1
        return Conversion(
            ts=attempt.ts,
            source="push",
            fact_id=f"conversion:backend:o{self.number}",
            conversion_id=f"o{self.number}",
            type="order",
            status="confirmed",
            origin="backend",
            value_micros=60_000_000,
            currency="USD",
            click_id=attempt.click_id if tracked else "",
            order_id=f"o{self.number}",
            page=attempt.page,
            user_agent=AGENTS[attempt.device],
        )

    def _service(self, ts: int, route: str, device: str, requests: int, errors: int, seconds: float) -> Service:
        buckets = [0] * (len(DURATION_BOUNDS_S) + 1)
        buckets[int(np.searchsorted(DURATION_BOUNDS_S, seconds))] = requests
        return Service(
            ts=ts - ts % MINUTE_MS,
            source="otlp",
            service="shop",
            route=route,
            version=self.version,
            requests=requests,
            errors=errors,
            buckets=buckets,
            duration_sum_s=requests * seconds,
            device=device,
        )

    def _span(self, ts: int, click_id: str, route: str, *, seconds: float, failed: bool = False) -> Span:
        self.number += 1
        return Span(
            ts=ts,
            source="otlp",
            click_id=click_id,
            trace_id=f"{self.number:032x}" if route.startswith("POST") else click_id,
            span_id=f"{self.number:016x}",
            parent_span_id="",
            service="shop",
            name=route,
            duration_us=round(seconds * 1e6),
            status="error" if failed else "ok",
            version=self.version,
            route=route,
            http_status=500 if failed else 200,
            error="ValueError: no such field" if failed else "",
        )


@pytest.fixture
def world(journal: Any, ship: Any, clock: Any, store: Any, control: Any) -> Callable[..., World]:
    """A maker of worlds on this test's store and journal."""

    def make(**options: Any) -> World:
        clock.now -= clock.now % MINUTE_MS
        return World(journal, ship, clock, store, control, **options)

    return make


@contextmanager
def _new_ground(databases: Databases, data_dir: Path, *, now: int) -> Iterator[dict[str, Any]]:
    """What a world stands on: a database, a journal and a control database of its own."""
    clock = FakeClock(now)
    with databases.one() as store:
        control = open_control("", data_dir)
        journal = JournalWriter(data_dir / "journal", config=JournalConfig(), clock=clock, name="test")
        ship = Ship(lambda: Shipper(store, control, data_dir / "journal", config=JournalConfig(), clock=clock))
        try:
            yield {"journal": journal, "ship": ship, "clock": clock, "store": store, "control": control}
        finally:
            journal.close()
            control.dispose()


@contextmanager
def copy_of(original: World, databases: Databases, data_dir: Path) -> Iterator[World]:
    """The same world once more, as it stands; what happens in one is not seen by the other.

    The tables' parts are hard links, journal and control database are copied, and what visitors, correlator and detection hold in
    memory is copied with every reference to the original's ground replaced by the copy's.
    """
    shutil.copytree(Path(original.control.url.database).parent, data_dir, dirs_exist_ok=True)
    with _new_ground(databases, data_dir, now=original.clock.now) as ground:
        tables = original.store.rows(
            "SELECT name, database FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree')"
            " AND total_rows > 0 AND name != 'schema_migration'"
        )
        for table in tables:
            ground["store"].command("ALTER TABLE {name} ATTACH PARTITION ALL FROM {database}.{name}".format(**table))
        assert ground["store"].store_id == original.store.store_id, "the shipper must know what the copy holds"
        memo = {id(getattr(original, name)): made for name, made in ground.items()}
        memo[id(original.ship.shipper)] = ground["ship"].shipper
        yield deepcopy(original, memo)


@pytest.fixture(scope="module")
def established(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two weeks of history, then three minutes of ordinary traffic at 300 times its volume; made once, for copies."""
    now = START_MS - START_MS % MINUTE_MS
    folder = tmp_path_factory.mktemp("established")
    with _new_ground(databases, folder, now=now) as ground:
        made = World(**ground).past()
        made.run(3, every_s=30)
        assert made.incidents() == []  # the jump in volume is no incident
        yield made
