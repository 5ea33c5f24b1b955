"""Which change marker caused it: by time *and* affected scope *and* a telemetry change (design §7; theory.md 4.5).

A marker near an onset is weak evidence: with five deploys a day one lies within half an hour of a random moment in 19 of 100 cases. So
each marker is weighed against its innocence: how much likelier its lag is for a cause than for a bystander, whether its service is
among those whose routes fail, whether the failing requests are those of its version, and whether its kind of change can do this at all.
What came after the onset cannot have caused it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from core.clock import MINUTE_MS
from core.incidents import SuspectDeploy, Verdict
from correlator.explanation.service_health import Change, VersionShare
from correlator.explanation.timing import Onset
from correlator.explanation.window import DEPLOY_LOOKBACK_MS, Marker

#: A bad change usually shows within minutes of going live; one in five needs longer (a cache, a rollout, a first request).
MEAN_LAG_MIN = 5.0
SLOW_SHARE = 0.2
#: Clocks differ and markers are sent when the roll-out ends.
TOLERANCE_MS = 10_000
AFTER_ONSET = -12.0
#: Which kinds of change can cause which verdict.
CAN_CAUSE: dict[Verdict, frozenset[str]] = {
    Verdict.SITE_FAILING: frozenset({"deploy", "rollback", "config", "cdn"}),
    Verdict.SITE_SLOW: frozenset({"deploy", "rollback", "config", "cdn"}),
    Verdict.REDIRECT_FAILING: frozenset({"config", "cdn", "deploy", "rollback"}),
    Verdict.TRACKING_BROKEN: frozenset({"tag", "deploy", "rollback", "config", "cdn"}),
    Verdict.TRAFFIC_CHANGED: frozenset({"budget", "creative"}),
    Verdict.DEMAND_CHANGED: frozenset({"creative", "budget", "deploy"}),
}
#: Bids, targeting and status bring other visitors or none, and a tracking template is one of them; they break no page.
BY_CAMPAIGN_SETTINGS = frozenset({Verdict.TRAFFIC_CHANGED, Verdict.DEMAND_CHANGED, Verdict.TRACKING_BROKEN})
PLATFORMS = frozenset({"google", "meta", "microsoft", "tiktok"})
#: The kind that this verdict is most often caused by, where one stands out.
TYPICAL: dict[Verdict, str] = {Verdict.TRACKING_BROKEN: "tag", Verdict.REDIRECT_FAILING: "config"}

#: Time alone blames nobody: what broke and what was deployed must meet in some telemetry, or a person has to look (theory.md 4.5).
UNTOUCHED_NATS = -3.5
#: What shows in browsers or at the redirect: healthy routes of a service neither accuse nor clear its changes.
OUTSIDE_ROUTES = frozenset({Verdict.TRACKING_BROKEN, Verdict.REDIRECT_FAILING})


class Weighed(NamedTuple):
    marker: Marker
    log_odds: float
    reasons: list[str]


def rank_deploys(
    markers: Sequence[Marker],
    onset: Onset,
    verdict: Verdict,
    *,
    changes: Sequence[Change],
    versions: dict[str, list[VersionShare]],
    services: frozenset[str],
    campaigns: frozenset[str] = frozenset(),
) -> list[SuspectDeploy]:
    """All markers, likeliest cause first; `score` is the probability of being the cause, "none of them" included.

    Args:
        markers: change markers up to now.
        onset: when it began.
        verdict: what happened.
        changes: routes that fail or wait more since then.
        versions: service -> failed share by version.
        services: services that telemetry was seen of at all.
        campaigns: those that are affected, qualified.
    """
    weighed = [_weigh(m, onset, verdict, changes, versions, services, campaigns) for m in markers]
    total = 1.0 + sum(math.exp(w.log_odds) for w in weighed)
    ranked = sorted(weighed, key=lambda w: (w.log_odds, w.marker.ts), reverse=True)
    return [
        SuspectDeploy(
            service=w.marker.service,
            version=w.marker.version,
            change=w.marker.change,
            ts=w.marker.ts,
            score=round(math.exp(w.log_odds) / total, 4),
            reason="; ".join(w.reasons),
            author=w.marker.author,
            link=w.marker.link,
        )
        for w in ranked
    ]


def _weigh(
    marker: Marker,
    onset: Onset,
    verdict: Verdict,
    changes: Sequence[Change],
    versions: dict[str, list[VersionShare]],
    services: frozenset[str],
    campaigns: frozenset[str],
) -> Weighed:
    parts = [
        _by_time(marker, onset),
        _by_service(marker, verdict, changes, services),
        _by_campaign(marker, campaigns),
        _by_version(marker, versions, "fails" if any(c.kind == "errors" for c in changes) else "is slow for"),
        _by_kind(marker, verdict),
    ]
    return Weighed(marker, sum(nats for nats, _ in parts), [why for _, why in parts if why])


def _by_time(marker: Marker, onset: Onset) -> tuple[float, str]:
    """ln of how much likelier this lag is for a cause than for a bystander, who lies anywhere in the look-back."""
    if marker.ts > onset.high + TOLERANCE_MS:
        return AFTER_ONSET, f"came {_minutes(marker.ts - onset.at)} after the onset: cannot have caused it"
    lag = max(0.0, (onset.at - marker.ts) / MINUTE_MS)
    reach = DEPLOY_LOOKBACK_MS / MINUTE_MS
    density = (1 - SLOW_SHARE) * math.exp(-lag / MEAN_LAG_MIN) / MEAN_LAG_MIN + SLOW_SHARE / reach
    return math.log(
        density * reach
    ), f"{_minutes(onset.at - marker.ts)} before the onset" if lag >= 0.5 else "at the onset"


def _by_service(
    marker: Marker, verdict: Verdict, changes: Sequence[Change], services: frozenset[str]
) -> tuple[float, str]:
    own = [c for c in changes if c.service == marker.service]
    if own:
        what = "fails" if own[0].kind == "errors" else "is slow"
        return 3.0, f"{own[0].name} {what} for {own[0].after:.0%} of requests, {own[0].before:.1%} before"
    if verdict in OUTSIDE_ROUTES:
        return 0.0, ""
    if marker.service in services:
        # A marker near an onset is weak: without a change in what it touched it stays a bystander (theory.md 4.5).
        return -4.0, "its routes show no change"
    if changes:
        return -3.0, "another service's routes changed"
    return UNTOUCHED_NATS, "nothing shows that it touched what broke"


def _by_version(marker: Marker, versions: dict[str, list[VersionShare]], verb: str) -> tuple[float, str]:
    """The failing requests are those of this version, or were failing without it."""
    shares = versions.get(marker.service, [])
    own = next((v for v in shares if v.version == marker.version and v.requests >= 5), None)
    others = [v for v in shares if v.version != marker.version and v.requests >= 5]
    if own is None or not others:
        return 0.0, ""
    worst = max(v.failed for v in others)
    if own.failed > worst + 0.05 and own.failed > 2 * worst:
        return 3.0, f"version {marker.version} {verb} {own.failed:.0%}, others {worst:.0%}"
    if worst > own.failed:
        return -2.0, f"another version {verb} more ({worst:.0%} against {own.failed:.0%})"
    return -1.0, f"another version {verb} as much"


def _by_campaign(marker: Marker, campaigns: frozenset[str]) -> tuple[float, str]:
    """A change on an ad platform touches its own campaign, or its account's campaigns, and no others."""
    if not on_platform(marker.service) or not campaigns:
        return 0.0, ""
    own = [campaign for campaign in campaigns if f"{campaign}:".startswith(f"{marker.service}:")]
    if not own:
        return -6.0, "another campaign"
    if len(own) == len(campaigns):
        return 2.0, "nothing but what it touches is affected"
    return -1.0, f"{len(campaigns) - len(own)} campaigns are affected that it does not touch"


def on_platform(service: str) -> bool:
    """A marker of an ad platform's change history names a campaign (`google:1:2`) or an account (`google:1`) as its service."""
    return service.partition(":")[0] in PLATFORMS and ":" in service


def _by_kind(marker: Marker, verdict: Verdict) -> tuple[float, str]:
    if not _can_cause(marker, verdict):
        return -4.0, f"a {marker.change} change does not do this"
    if TYPICAL.get(verdict) == marker.change:
        return 2.0, f"a {marker.change} change is the usual cause"
    return 0.0, ""


def _can_cause(marker: Marker, verdict: Verdict) -> bool:
    if on_platform(marker.service) and marker.change == "config":
        return verdict in BY_CAMPAIGN_SETTINGS or verdict not in CAN_CAUSE
    can = CAN_CAUSE.get(verdict)
    return can is None or marker.change in can


def _minutes(ms: float) -> str:
    seconds = abs(ms) / 1000
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
