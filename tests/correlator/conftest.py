"""A small world for the correlator's tests: facts go in through the journal, answers come out through the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.auth import KeyAuthorization, KeyRing
from app.problems import install
from core.clock import parse_rfc3339, to_rfc3339
from core.control.checkpoints import Checkpoints
from core.identity import random_click_id
from core.journal.writer import JournalWriter
from core.records import (
    Campaign,
    Click,
    Conversion,
    Deploy,
    PlatformClick,
    Rate,
    Record,
    Span,
    Spend,
    Tally,
    Touch,
    Watermark,
)
from core.settings import JournalConfig
from core.store.client import Store
from correlator.api import build_router
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator, Further

CAMPAIGN = "google:1:2"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Mobile/15E148 Safari/604.1"
)


def moment(text: str) -> int:
    """``09:00`` on the tests' day, or a whole RFC 3339 time, in ms."""
    return parse_rfc3339(text if "T" in text else f"2026-09-21T{text}:00Z" if len(text) == 5 else f"2026-09-21T{text}Z")


class World:
    """Journals facts at times the test names, ships, ticks, and asks the API."""

    def __init__(
        self,
        store: Store,
        control: Engine,
        journal: JournalWriter,
        ship: Any,
        clock: Any,
        config: CorrelatorConfig,
        further: Sequence[Further] = (),
    ) -> None:
        self.store, self.journal, self.ship, self.clock, self.config = store, journal, ship, clock, config
        self.control = control
        self.correlator = Correlator(
            store,
            journal,
            Checkpoints(control, "correlator"),
            config=config,
            clock=clock,
            further=further,
            shipped_through=lambda now: ship.shipper.shipped_through(now),
        )
        self._number = count()
        #: Days by kind; a test says so.
        self.retention: dict[str, int] = {}
        keys = KeyRing(control)
        app = FastAPI()
        install(app)
        app.include_router(
            build_router(
                store,
                authorize=KeyAuthorization(keys),
                shipped_through=lambda now: ship.shipper.shipped_through(now),
                worked_through=self.correlator.worked_through,
                config=config,
                clock=clock,
                retention=self.retention,
            )
        )
        self.app, self.keys = app, keys
        self.client = TestClient(app)
        self.key = keys.add("reader", scopes=["read"])

    # --- facts ---------------------------------------------------------------------------------------------------------------
    def tell(self, record: Record, *, known: str | int = "") -> None:
        """Journal a record, learned at `known` (default: when it happened)."""
        at = moment(known) if isinstance(known, str) and known else known
        self.clock.now = at or record.ts
        self.journal.append(record)

    def click(self, ts: str | int, *, known: str | int = "", **fields: Any) -> str:
        at = moment(ts) if isinstance(ts, str) else ts
        number = next(self._number)
        given = {
            "click_id": random_click_id(), "hit_id": f"{number:016x}", "link_id": "spring", "link_version": 1, "slug": "s",
            "domain": "go.example", "http_status": 302, "reason": "redirect", "duration_us": 90, "campaign": CAMPAIGN,
            "platform": "google", "page": "shop.example/p", "user_agent": IPHONE, "network": "192.0.2.0/24",
        }  # fmt: skip
        record = Click(ts=at, source="redirect", **{**given, **fields})
        self.tell(record, known=known)
        return record.click_id

    def conversion(self, ts: str | int, *, known: str | int = "", **fields: Any) -> str:
        at = moment(ts) if isinstance(ts, str) else ts
        number = next(self._number)
        given: dict[str, Any] = {
            "type": "order",
            "status": "confirmed",
            "origin": "backend",
            "conversion_id": f"o-{number}",
        }
        given |= fields
        given.setdefault("fact_id", f"{given['origin']}:{given['type']}:{given['conversion_id']}")
        record = Conversion(ts=at, source="push", **given)
        self.tell(record, known=known)
        return record.fact_id

    def spend(self, bucket: str, cost: int, *, known: str, bucket_s: int = 3600, **fields: Any) -> None:
        """`cost` in whole units of USD, or of `currency`."""
        campaign = fields.pop("campaign", CAMPAIGN)
        fact_id = fields.pop("fact_id", f"spend:{campaign}:{bucket}:{bucket_s}")
        record = Spend(
            ts=moment(bucket), source="google_ads", fact_id=fact_id, platform="google", account="1", campaign=campaign, bucket_s=bucket_s,
            cost_micros=cost * 1_000_000, currency=fields.pop("currency", "USD"), **fields,
        )  # fmt: skip
        self.tell(record, known=known)

    def rate(self, currency: str, value: float, *, day: str = "2026-09-21", base: str = "EUR", known: str = "") -> None:
        """One `base` is worth `value` of `currency`, published at 15:00 UTC."""
        at = moment(f"{day}T00:00:00Z")
        record = Rate(
            ts=at, source="ecb", fact_id=f"rate:ecb:{base}:{currency}:{at}", base=base, currency=currency, rate=value
        )
        self.tell(record, known=known or f"{day}T15:00:00Z")

    def watermark(self, through: str, *, known: str, source: str = "google_ads", lag_s: int = 0) -> None:
        self.tell(
            Watermark(ts=moment(known), source=source, complete_through=moment(through), documented_lag_s=lag_s),
            known=known,
        )

    def tally(self, bucket: str, name: str, count: float, *, known: str, bucket_s: int = 3600, **fields: Any) -> None:
        given = {"origin": "analytics", "account": "ga4:1", "source": "ga4", "campaign": CAMPAIGN, **fields}
        fact_id = f"tally:{given['origin']}:{given['account']}:{name}:{bucket}:{bucket_s}:{given['campaign']}"
        record = Tally(ts=moment(bucket), fact_id=fact_id, name=name, bucket_s=bucket_s, count=count, **given)
        self.tell(record, known=known)

    def platform_click(self, click_id: str, *, known: str, campaign: str = CAMPAIGN) -> None:
        fact_id = f"platform_click:google:1:{click_id}"
        given = {"fact_id": fact_id, "click_id": click_id, "platform": "google", "account": "1", "campaign": campaign}
        self.tell(PlatformClick(ts=moment("00:00"), bucket_s=86_400, source="google_clicks", **given), known=known)

    def campaign(self, ts: str, **fields: Any) -> None:
        source = fields.pop("source", "google_ads")
        campaign = fields.pop("campaign", CAMPAIGN)
        given = {"platform": "google", "account": "1", **fields}
        self.tell(
            Campaign(ts=moment(ts), source=source, fact_id=f"campaign:{campaign}:{source}", campaign=campaign, **given)
        )

    def touch(self, ts: str, name: str, click_id: str, **fields: Any) -> None:
        self.tell(Touch(ts=moment(ts), source="snippet", name=name, click_id=click_id, **fields))

    def span(self, ts: str, **fields: Any) -> None:
        given = {"parent_span_id": "", "service": "shop", "name": "GET /p", "duration_us": 1200}
        self.tell(Span(ts=moment(ts), source="otlp", **{**given, **fields}))

    def deploy(self, ts: str, version: str, **fields: Any) -> None:
        given = {"fact_id": f"deploy:shop:{version}", "service": "shop", "version": version, "change": "deploy"}
        self.tell(Deploy(ts=moment(ts), source="push", **{**given, **fields}))

    # --- answers -------------------------------------------------------------------------------------------------------------
    def settle(self, now: str | int = "") -> None:
        """Ship everything and run a tick at `now` (default: where the clock stands)."""
        if now:
            self.clock.now = moment(now) if isinstance(now, str) else now
        self.ship()
        self.clock.advance(1000)  # what is journaled in the very millisecond of shipping counts as not yet shipped
        self.ship()
        self.correlator.tick(self.clock())

    def get(self, path: str, *, key: str = "", status: int = 200, **query: str) -> Any:
        """`since="09:00"` and the like are times of the tests' day."""
        names = {"since": "from", "until": "to"}
        texts = {
            names.get(name, name): to_rfc3339(moment(text)) if name in ("since", "until", "as_of") else text
            for name, text in query.items()
        }
        answer = self.client.get(f"/api/v1{path}", params=texts, headers={"Authorization": f"Bearer {key or self.key}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def matches(self) -> dict[str, dict[str, Any]]:
        """conversion_match by fact_id, without what depends on when a tick ran."""
        rows = self.store.rows("SELECT * EXCEPT (matched_at) FROM conversion_match FINAL")
        return {str(row["fact_id"]): row for row in rows}


@pytest.fixture
def config() -> CorrelatorConfig:
    return CorrelatorConfig()


@pytest.fixture
def one_segment(journal_dir: Path, clock: Any) -> Iterator[JournalWriter]:
    """A journal that does not rotate by age, for worlds of weeks: shipping hundreds of segments takes longer than the test."""
    writer = JournalWriter(journal_dir, config=JournalConfig(segment_max_age_s=10**9), clock=clock, name="test")
    yield writer
    writer.close()


@pytest.fixture
def world(
    store: Store, control: Engine, journal: JournalWriter, ship: Any, clock: Any, config: CorrelatorConfig
) -> World:
    return World(store, control, journal, ship, clock, config)
