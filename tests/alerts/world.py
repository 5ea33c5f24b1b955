"""What the tests of alerts share: incidents as the correlator writes them, and an ad platform whose faults the test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Literal, Protocol

import msgspec
from sqlalchemy import Engine

from alerts.config import AlertsConfig
from alerts.observations import Reader
from alerts.pipeline import Alerts
from core.clock import MINUTE_MS
from core.errors import Permanent, SourceError, Transient
from core.incidents import AffectedCampaign, Cost, IncidentPayload
from core.journal.writer import JournalWriter
from core.records import Campaign, Click, Conversion, Incident, Watermark
from core.store.client import Store
from core.vendors.base import AdPlatform, CampaignState, DeliveryStatus, Report, SpendRow
from core.vendors.config import AccountConfig

INCIDENT_ID = "0192" * 8
PUBLIC_URL = "https://clicktrace.example"
LOOSE = {"max_spend_share_per_hour": 1.0, "ask_when_pause_costs_more": False}


class Clock(Protocol):
    now: int

    def __call__(self) -> int: ...
    def advance(self, ms: int) -> None: ...


class FaultyPlatform:
    """An ad account in memory. `faults` are raised by the next calls of a method, one each, before or after the write takes effect."""

    def __init__(self, platform: str = "google", account: str = "1", *, campaigns: Sequence[str] = ("2", "3")) -> None:
        self.platform = platform
        self.account = account
        self.statuses: dict[str, DeliveryStatus] = {f"{platform}:{account}:{name}": "enabled" for name in campaigns}
        self.writes: list[tuple[str, str]] = []
        self.reads = 0
        self.before_write: list[SourceError] = []
        self.after_write: list[SourceError] = []
        self.on_read: list[SourceError] = []
        self.ignore_writes = False
        self.after_effect: Callable[[], None] = lambda: None

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        return [self._state(name) for name in self.statuses]

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        assert deadline_s > 0
        self.reads += 1
        if self.on_read:
            raise self.on_read.pop(0)
        return self._state(campaign)

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        assert deadline_s > 0
        if self.before_write:
            raise self.before_write.pop(0)
        self.writes.append((campaign, status))
        if not self.ignore_writes:
            self.statuses[campaign] = status
        self.after_effect()
        if self.after_write:
            raise self.after_write.pop(0)

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> Report[SpendRow]:
        return Report(rows=[])

    def close(self) -> None: ...

    def _state(self, campaign: str) -> CampaignState:
        if campaign not in self.statuses:
            raise Permanent(self.platform, f"no such campaign {campaign}")
        return CampaignState(campaign=campaign, name="Spring", status=self.statuses[campaign])


def transient(detail: str = "503") -> Transient:
    return Transient("google", detail)


def permanent(detail: str = "permission denied") -> Permanent:
    return Permanent("google", detail)


def affected(campaign: str = "google:1:2", **changes: Any) -> AffectedCampaign:
    fields: dict[str, Any] = {
        "campaign": campaign,
        "platform": campaign.partition(":")[0],
        "name": f"Spring {campaign}",
        "clicks": 600.0,
        "expected": 12.0,
        "observed": 2,
        "baseline_rate": 0.02,
        "rate": 0.004,
        "rate_low": 0.0,
        "rate_high": 0.02,
        "break_even_rate": 0.015,
        "currency": "USD",
        "exposed_per_hour_micros": 60_000_000,
        "wasted_per_hour_micros": 45_000_000,
    }
    return AffectedCampaign(**{**fields, **changes})


def incident_payload(
    *, now: int, campaigns: Sequence[AffectedCampaign] | None = None, **changes: Any
) -> IncidentPayload:
    onset = now - 10 * MINUTE_MS
    fields: dict[str, Any] = {
        "incident_id": INCIDENT_ID,
        "title": "Mobile checkout is failing",
        "sentence": "Since 14:03 UTC almost nobody on mobile can order: the checkout form fails after the deploy of shop 1.4.2.",
        "verdict": "site_failing",
        "confidence": 0.95,
        "alternatives": {"site_failing": 0.95, "tracking_broken": 0.05},
        "direction": "drop",
        "hypothesis": "arrival",
        "scope": {"device": "mobile"},
        "stream": "device=mobile",
        "onset": onset,
        "onset_low": onset,
        "onset_high": onset,
        "detected": now - 8 * MINUTE_MS,
        "complete_through": now - 30_000,
        "expected": 24.0,
        "observed": 5,
        "lost_share": 0.8,
        "lost_share_low": 0.5,
        "lost_share_high": 0.95,
        "clicks": 1200.0,
        "baseline_rate": 0.02,
        "rate": 0.004,
        "rate_low": 0.001,
        "rate_high": 0.01,
        "cost": Cost(
            currency="USD",
            exposed_micros=20_000_000,
            wasted_micros=15_000_000,
            exposed_per_hour_micros=120_000_000,
            wasted_per_hour_micros=90_000_000,
            wasted_per_hour_low_micros=60_000_000,
            wasted_per_hour_high_micros=110_000_000,
        ),
        "campaigns": [affected()] if campaigns is None else list(campaigns),
    }
    return IncidentPayload(**{**fields, **changes})


class World:
    """Journals what the other parts would, ships it, and ticks."""

    def __init__(
        self,
        store: Store,
        control: Engine,
        journal: JournalWriter,
        ship: Callable[[], object],
        clock: Clock,
        platforms: dict[str, AdPlatform],
    ) -> None:
        self.store, self.control, self.journal, self.ship, self.clock = store, control, journal, ship, clock
        self.platforms = platforms
        self._made: list[Alerts] = []

    def alerts(
        self, *, accounts: Sequence[AccountConfig] | None = None, store: Reader | None = None, **settings: Any
    ) -> Alerts:
        """A pipeline over the same store and control database, as after a restart."""
        alerts = Alerts(
            store or self.store,
            self.control,
            self.journal,
            config=AlertsConfig(**settings),
            accounts=accounts if accounts is not None else [AccountConfig(platform="google", account="1")],
            public_url=PUBLIC_URL,
            clock=self.clock,
            open_account=lambda config: self.platforms.get(f"{config.platform}:{config.account}"),
        )
        self._made.append(alerts)
        return alerts

    def incident(
        self, state: Literal["open", "recovering", "closed"] = "open", *, claimed: bool = False, **changes: Any
    ) -> IncidentPayload:
        payload = incident_payload(now=self.clock.now, **changes)
        self.journal.append(
            Incident(
                ts=self.clock.now,
                source="correlator",
                fact_id=f"incident:{payload.incident_id}",
                incident_id=payload.incident_id,
                state=state,
                onset=payload.onset,
                opened=payload.detected,
                verdict=payload.verdict,
                scope=payload.scope,
                closed=self.clock.now if state == "closed" else 0,
                payload=msgspec.to_builtins(payload),
            ),
            known_at=self.clock.now if claimed else None,
        )
        return payload

    def fresh(self, *sources: str) -> None:
        """Sources are complete through now, and conversions arrive."""
        now = self.clock.now
        for source in sources or ("google_ads:1",):
            self.journal.append(Watermark(ts=now, source=source, complete_through=now))
        self.journal.append(
            Conversion(
                ts=now,
                source="push",
                fact_id=f"conversion:{now}",
                conversion_id=str(now),
                type="order",
                status="confirmed",
                origin="backend",
            )
        )

    def traffic(self, *, duration_us: int = 300, **clicks: int) -> None:
        """Live clicks by campaign number of google:1, each costing $0.50 by what its owner says."""
        for number, count in clicks.items():
            name = f"google:1:{number.removeprefix('c')}"
            self.journal.append(
                Campaign(
                    ts=self.clock.now,
                    source="push",
                    fact_id=f"campaign:push:{name}",
                    campaign=name,
                    platform="google",
                    account="1",
                    cpc_micros=500_000,
                )
            )
            self.journal.append_many(self._click(name, index, duration_us=duration_us) for index in range(count))

    def _click(self, campaign: str, index: int, *, duration_us: int) -> Click:
        return Click(
            ts=self.clock.now - 1000 - index,
            source="redirect",
            click_id=sha256(f"{campaign} {index} {self.clock.now}".encode()).hexdigest()[:32],
            hit_id="00" * 8,
            link_id="l",
            link_version=1,
            slug="s",
            domain="go.example",
            http_status=302,
            reason="redirect",
            duration_us=duration_us,
            campaign=campaign,
        )

    def tick(self, alerts: Alerts, *, after_ms: int = 10_000) -> None:
        self.clock.advance(after_ms)
        self.ship()
        alerts.tick(self.clock.now)

    def close(self) -> None:
        for alerts in self._made:
            alerts.close()
