"""What an incident says: the contract between the correlator that concludes it and everyone who reads it.

It travels as `Incident.payload` through the journal into the store's `incident` table; alerts, console and CLI read it there. Rates are
fractions of clicks, shares are fractions of one, money is integer micros of `Cost.currency`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What happened, from a closed list. Only `SITE_FAILING` and `REDIRECT_FAILING` may lead to a pause by default."""

    SITE_FAILING = "site_failing"
    SITE_SLOW = "site_slow"
    REDIRECT_FAILING = "redirect_failing"
    TRACKING_BROKEN = "tracking_broken"
    TRAFFIC_CHANGED = "traffic_changed"
    DEMAND_CHANGED = "demand_changed"
    PLATFORM_DATA_LATE = "platform_data_late"
    UNKNOWN = "unknown"


#: The verdict in the words of a message.
VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.SITE_FAILING: "site failing",
    Verdict.SITE_SLOW: "site slow",
    Verdict.REDIRECT_FAILING: "redirect failing",
    Verdict.TRACKING_BROKEN: "tracking broken",
    Verdict.TRAFFIC_CHANGED: "traffic changed",
    Verdict.DEMAND_CHANGED: "demand changed",
    Verdict.PLATFORM_DATA_LATE: "platform data late",
    Verdict.UNKNOWN: "cause unknown",
}


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One observation for or against a verdict. `log_likelihood` is in nats, positive = for it."""

    name: str
    text: str
    verdict: str
    log_likelihood: float = 0.0
    figures: dict[str, float] = {}


class SuspectDeploy(msgspec.Struct, frozen=True, kw_only=True):
    """A change marker that may have caused it, best first; `reason` says why it ranks where it does."""

    service: str
    version: str
    change: str
    ts: int
    score: float
    reason: str
    author: str = ""
    link: str = ""


class FailedTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace of a paid click that failed in the scope."""

    trace_id: str
    click_id: str
    ts: int
    service: str
    route: str
    error: str
    http_status: int = 0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Exposed spend = all spend in the scope since onset; wasted = exposed x lost share. Limits are 95 %."""

    currency: str
    exposed_micros: int
    wasted_micros: int
    exposed_per_hour_micros: int
    wasted_per_hour_micros: int
    wasted_per_hour_low_micros: int
    wasted_per_hour_high_micros: int
    lost_margin_micros: int | None = None
    #: "platform" once the platform reported the hours, "modelled" = live clicks x trailing cost per click.
    spend_basis: str = "modelled"


class AffectedCampaign(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign inside the scope, with what the guards need to decide about it."""

    campaign: str
    platform: str
    name: str = ""
    client: str = ""
    parallel_tracking: bool = False
    clicks: float = 0.0  # exposure-weighted clicks since onset
    expected: float = 0.0  # conversions expected since onset
    observed: int = 0
    baseline_rate: float = 0.0
    rate: float = 0.0
    rate_low: float = 0.0  # always-valid 95 % limits
    rate_high: float = 1.0
    break_even_rate: float | None = None
    #: Sales are lost for this campaign. False under parallel tracking when only the redirect fails: the buyer still arrives.
    loses_sales: bool = True
    #: Share of the campaign's clicks that fall into the scope (a pause stops all of it).
    scope_share: float = 1.0
    exposed_per_hour_micros: int = 0
    wasted_per_hour_micros: int = 0
    currency: str = ""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Why we believe the fault is gone (or not yet)."""

    recovered: bool
    text: str
    since: int = 0
    deploy: str = ""


class IncidentPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a message, the console and the guards say about an incident."""

    incident_id: str
    title: str  # one line: what, where
    sentence: str  # what changed, why, what it costs per hour, in a buyer's words
    verdict: str
    confidence: float  # posterior of the verdict
    alternatives: dict[str, float]  # posterior by verdict
    direction: str  # drop | rise
    hypothesis: str  # arrival | cohort | unknown
    scope: dict[str, str]  # dimension -> value; empty = everything
    stream: str  # the stream that fired
    onset: int
    onset_low: int
    onset_high: int
    detected: int
    complete_through: int
    expected: float
    observed: int
    lost_share: float
    lost_share_low: float
    lost_share_high: float
    clicks: float
    baseline_rate: float
    rate: float
    rate_low: float
    rate_high: float
    cost: Cost
    evidence: list[Evidence] = []
    deploys: list[SuspectDeploy] = []
    traces: list[FailedTrace] = []
    campaigns: list[AffectedCampaign] = []
    routes: list[str] = []  # failing or slow routes, worst first
    infrastructure_healthy: bool = True
    recovery: Recovery | None = None
