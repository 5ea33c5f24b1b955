"""An advertiser's account as an ad platform keeps it: campaigns, what their clicks cost, and what is reported of it, and when.

Spend grows with the clicks that the simulated world reports. The platform shows it late (`report_lag_s`) and restates it once by a
few percent, up or down (`restate_after_s`), as the real ones credit invalid clicks back. Both sandboxes serve one such account.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Literal

import msgspec

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS

Status = Literal["enabled", "paused", "removed"]
IMPRESSIONS_PER_CLICK = 40


class CampaignSetup(msgspec.Struct, kw_only=True):
    """A campaign as the world sets it up. `id` is the platform's own ID; money in micros of the account's currency."""

    id: str
    name: str
    cpc_micros: int = 500_000
    daily_budget_micros: int = 0
    status: Status = "enabled"
    labels: list[str] = []


class Clicks(msgspec.Struct, kw_only=True):
    """Clicks that a campaign delivered. `campaign` is its own or its qualified ID; `ts` in ms, 0 = now."""

    campaign: str
    clicks: int
    device: str = "mobile"
    ts: int = 0
    ad_group: str = ""


class Accepted(msgspec.Struct, kw_only=True):
    """What the platform took of reported clicks; clicks of campaigns that do not deliver are refused."""

    accepted: int
    refused: int
    refused_campaigns: list[str]


class Report(msgspec.Struct, kw_only=True):
    """What the platform reports now of one campaign, ad group, device and hour; `ad_group` "" = of none."""

    campaign: str
    device: str
    hour: int
    clicks: int
    impressions: int
    cost_micros: int
    ad_group: str = ""


class Behaviour(msgspec.Struct, kw_only=True):
    """How the platform behaves; the control port changes it while running."""

    report_lag_s: float = 3 * 3600.0
    restate_after_s: float = 24 * 3600.0
    restate_share: float = 0.03
    #: Answer this many of the next calls with the quota error, and say to wait `retry_after_s`.
    quota_errors: int = 0
    retry_after_s: float = 0.0
    #: Answer this many of the next calls with an internal error.
    server_errors: int = 0
    #: Answer every call as if the service were down.
    outage: bool = False
    #: Leave this many of the next calls without an answer.
    hangs: int = 0
    #: Cut this many of the next answers in the middle.
    garbage: int = 0
    #: In every answer about spend (Meta: and conversions), so many rows are not as documented.
    malformed_rows: int = 0
    page_size: int = 1_000
    #: Meta: how often an insights job is asked about before it is through, and how many of the next ones fail or are skipped.
    job_polls: int = 0
    failed_jobs: int = 0
    skipped_jobs: int = 0
    #: Meta: more days than this at once are too much, 0 = never.
    most_days: int = 0


class AdAccount:
    """Thread-safe. `platform` and `account` make qualified IDs."""

    def __init__(
        self,
        *,
        platform: str,
        account: str,
        currency: str,
        campaigns: Iterable[CampaignSetup],
        behaviour: Behaviour,
        clock: Callable[[], int],
    ) -> None:
        self.platform = platform
        self.account = account
        self.currency = currency
        self.behaviour = behaviour
        self.clock = clock
        self._campaigns = {campaign.id: campaign for campaign in campaigns}
        self._minutes: dict[tuple[str, str, str, int], int] = {}
        self._mutations: list[dict[str, object]] = []
        self._lock = threading.Lock()

    def campaigns(self) -> list[CampaignSetup]:
        with self._lock:
            return [msgspec.structs.replace(campaign) for campaign in self._campaigns.values()]

    def campaign(self, identifier: str) -> CampaignSetup | None:
        """A campaign by its own or its qualified ID."""
        with self._lock:
            return self._campaigns.get(identifier.rpartition(":")[2])

    def put(self, campaign: CampaignSetup) -> None:
        with self._lock:
            self._campaigns[campaign.id] = campaign

    def set_status(self, identifier: str, status: Status) -> None:
        with self._lock:
            campaign = self._campaigns[identifier]
            campaign.status = status
            self._mutations.append({"at": self.clock(), "campaign": self.qualified(identifier), "status": status})

    def mutations(self) -> list[dict[str, object]]:
        with self._lock:
            return list(self._mutations)

    def qualified(self, identifier: str) -> str:
        return f"{self.platform}:{self.account}:{identifier}"

    def delivering(self) -> list[str]:
        """Qualified IDs of the campaigns that deliver: enabled, and today's cost below the budget."""
        now = self.clock()
        with self._lock:
            return [self.qualified(key) for key in self._campaigns if self._delivers(key, now=now)]

    def add_clicks(self, reported: Iterable[Clicks]) -> Accepted:
        """Charge clicks to their campaigns."""
        answer = Accepted(accepted=0, refused=0, refused_campaigns=[])
        now = self.clock()
        with self._lock:
            for item in reported:
                identifier = item.campaign.rpartition(":")[2]
                if not self._delivers(identifier, now=now):
                    answer.refused += item.clicks
                    if item.campaign not in answer.refused_campaigns:
                        answer.refused_campaigns.append(item.campaign)
                    continue
                minute = (item.ts or now) // MINUTE_MS * MINUTE_MS
                key = (identifier, item.device, item.ad_group, minute)
                self._minutes[key] = self._minutes.get(key, 0) + item.clicks
                answer.accepted += item.clicks
        return answer

    def reports(self, since: int, until: int) -> list[Report]:
        """What is shown now of the hours in [since, until): nothing younger than the lag, restated when old enough."""
        now = self.clock()
        shown_until = now - self.behaviour.report_lag_s * 1000
        hours: dict[tuple[str, str, str, int], Report] = {}
        with self._lock:
            for (campaign, device, ad_group, minute), clicks in sorted(self._minutes.items()):
                if not since <= minute < until or minute + MINUTE_MS > shown_until:
                    continue
                hour = minute // HOUR_MS * HOUR_MS
                row = hours.setdefault(
                    (campaign, device, ad_group, hour),
                    Report(
                        campaign=campaign,
                        device=device,
                        hour=hour,
                        clicks=0,
                        impressions=0,
                        cost_micros=0,
                        ad_group=ad_group,
                    ),
                )
                row.clicks += clicks
                row.impressions += clicks * IMPRESSIONS_PER_CLICK
                row.cost_micros += self._cost(campaign, device, minute, clicks, now=now)
        return list(hours.values())

    def true_cost_micros(self, identifier: str) -> int:
        """What the campaign's clicks cost in the end, restated; for the world's own book-keeping."""
        with self._lock:
            return sum(
                self._cost(campaign, device, minute, clicks, now=minute + 10_000 * DAY_MS)
                for (campaign, device, _, minute), clicks in self._minutes.items()
                if campaign == identifier
            )

    def _cost(self, campaign: str, device: str, minute: int, clicks: int, *, now: int) -> int:
        cost = clicks * self._campaigns[campaign].cpc_micros
        if now < minute + self.behaviour.restate_after_s * 1000:
            return cost
        # The same minute is always restated by the same share: a figure moves once and then stands.
        digest = sha256(f"{campaign}:{device}:{minute}".encode()).digest()
        share = (int.from_bytes(digest[:4]) / 2**32 * 2 - 1) * self.behaviour.restate_share
        return cost + round(cost * share)

    def _delivers(self, identifier: str, *, now: int) -> bool:
        campaign = self._campaigns.get(identifier)
        if campaign is None or campaign.status != "enabled":
            return False
        if not campaign.daily_budget_micros:
            return True
        today = now - now % DAY_MS
        spent = sum(
            clicks * campaign.cpc_micros
            for (key, _, _, minute), clicks in self._minutes.items()
            if key == identifier and minute >= today
        )
        return spent < campaign.daily_budget_micros
