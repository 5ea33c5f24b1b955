"""The words: a title and a sentence that a media buyer understands, each with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.clock import to_datetime
from core.incidents import VERDICT_WORDS, AffectedCampaign, Cost, Evidence, SuspectDeploy, Verdict
from core.money import spoken

#: A change marker is named in the sentence when it is at least this likely the cause.
NAMED_FROM = 0.3


def clock_time(ms: int) -> str:
    return f"{to_datetime(ms):%H:%M} UTC"


def where(scope: Mapping[str, str], names: Mapping[str, str]) -> str:
    """The scope in words: ``mobile visitors of shop.example/a``."""
    parts = []
    if device := scope.get("device"):
        parts.append(f"{_listed(device)} visitors")
    if browser := scope.get("browser"):
        parts.append(f"{_listed(browser)} users")
    text = " with ".join(parts) or ("visitors" if scope else "all visitors")
    if page := scope.get("page"):
        text += f" of {_listed(page)}"
    if campaign := scope.get("campaign"):
        text += f" from {_campaigns(campaign, names)}"
    if platform := scope.get("platform") or scope.get("account"):
        text += f" from {_listed(platform)}"
    return text


def title_of(verdict: Verdict, scope: Mapping[str, str], names: Mapping[str, str]) -> str:
    words = VERDICT_WORDS[verdict]
    return f"{words[0].upper()}{words[1:]}: {where(scope, names)}"


def sentence_of(
    verdict: Verdict,
    *,
    scope: Mapping[str, str],
    names: Mapping[str, str],
    onset: int,
    expected: float,
    observed: int,
    lost_share: float,
    cost: Cost,
    evidence: Sequence[Evidence],
    deploys: Sequence[SuspectDeploy],
    campaigns: Sequence[AffectedCampaign],
    basis: str,
) -> str:
    """What changed, why, what it costs per hour, what to do."""
    parts = [
        _what_changed(verdict, where(scope, names), onset, expected, observed, lost_share),
        _why(verdict, evidence, deploys),
        _costs(verdict, cost, campaigns),
        _what_to_do(verdict, deploys, campaigns),
    ]
    if basis == "target":
        parts.insert(1, "There is no history here yet: the campaign's target stands in for the baseline.")
    return " ".join(part for part in parts if part)


def _what_changed(verdict: Verdict, place: str, onset: int, expected: float, observed: int, lost_share: float) -> str:
    since, counts = clock_time(onset), f"{observed:,} where {expected:,.0f} were expected"
    if verdict is Verdict.TRACKING_BROKEN:
        return (
            f"Since {since} orders of {place} are no longer matched to their clicks ({counts}), but they keep coming."
        )
    if verdict is Verdict.TRAFFIC_CHANGED:
        return f"Since {since} far more hits come from {place} than usual, and they do not buy ({counts} of so many clicks)."
    if verdict is Verdict.PLATFORM_DATA_LATE:
        return f"Since {since} conversions of {place} have not arrived ({counts})."
    if expected < 1:
        return f"Since {since} {place} are affected; no conversions were due yet."
    if lost_share < 0.05:
        return f"Since {since} {place} are affected; conversions have not fallen so far ({counts})."
    return f"Since {since} {lost_share:.0%} fewer conversions than usual come from {place} ({counts})."


def _why(verdict: Verdict, evidence: Sequence[Evidence], deploys: Sequence[SuspectDeploy]) -> str:
    telling = next((e for e in evidence if e.verdict == verdict.value and e.log_likelihood > 0), None)
    why = f"Why: {telling.text if telling is not None else 'nothing that we watch explains it'}"
    if deploys and deploys[0].score >= NAMED_FROM:
        first = deploys[0]
        why += f"; most likely cause: {first.change} {first.service} {first.version} at {clock_time(first.ts)}"
    return why + "."


def _costs(verdict: Verdict, cost: Cost, campaigns: Sequence[AffectedCampaign]) -> str:
    number = f"{len(campaigns)} campaign{'s' if len(campaigns) != 1 else ''}"
    if cost.exposed_per_hour_micros == 0:
        return f"What it costs is unknown: no spend is known for {number}." if campaigns else ""
    exposed = spoken(cost.exposed_per_hour_micros, cost.currency)
    if verdict in (Verdict.TRACKING_BROKEN, Verdict.PLATFORM_DATA_LATE):
        return f"No sales are lost; {exposed} an hour on {number} cannot be measured."
    if verdict is Verdict.TRAFFIC_CHANGED:
        most = spoken(cost.wasted_per_hour_high_micros, cost.currency)
        return f"No sales are lost; if the platforms charge for these hits, they cost up to {most} an hour on {number}."
    wasted = spoken(cost.wasted_per_hour_micros, cost.currency)
    if wasted == exposed:
        return f"It wastes all of the {exposed} an hour spent on {number}."
    return f"It wastes about {wasted} of {exposed} an hour on {number}."


def _what_to_do(verdict: Verdict, deploys: Sequence[SuspectDeploy], campaigns: Sequence[AffectedCampaign]) -> str:
    suspect = deploys[0] if deploys and deploys[0].score >= NAMED_FROM else None
    undo = f"roll back {suspect.service} {suspect.version}" if suspect else "have the site checked"
    losing = [c for c in campaigns if c.loses_sales]
    if verdict is Verdict.SITE_FAILING:
        return f"Pause {'it' if len(losing) == 1 else 'them'} until it is fixed, and {undo}."
    if verdict is Verdict.SITE_SLOW:
        return f"Keep an eye on break-even, and {undo}."
    if verdict is Verdict.REDIRECT_FAILING:
        spared = len(campaigns) - len(losing)
        rest = f"; {spared} with parallel tracking still sell{'s' if spared == 1 else ''}" if spared else ""
        return f"Pause the {len(losing)} whose clicks go through the redirect{rest}, and {undo}."
    if verdict is Verdict.TRACKING_BROKEN:
        return f"Do not pause: {undo if suspect else 'repair the tag or cookie'}."
    if verdict is Verdict.TRAFFIC_CHANGED:
        return "Check placements and exclude the source; orders are unaffected."
    if verdict is Verdict.PLATFORM_DATA_LATE:
        return "Do nothing until the data has arrived."
    return "Look into it before pausing anything."


def _listed(text: str) -> str:
    values = text.split(",")
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _campaigns(text: str, names: Mapping[str, str]) -> str:
    values = [names.get(value) or value for value in text.split(",")]
    return _listed(",".join(values)) if len(values) <= 3 else f"{len(values)} campaigns"
