"""From an alarm to everything an incident says: onset, scope, verdict, deploys, cost, traces, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.incidents import AffectedCampaign, IncidentPayload, Verdict
from core.store.client import Store
from correlator.detection.baseline import BaselineModel
from correlator.detection.confidence import ratio_limits
from correlator.detection.history import run
from correlator.explanation.cost import cell_costs, cost_of, spend
from correlator.explanation.deploys import rank_deploys
from correlator.explanation.evidence import Situation, gather
from correlator.explanation.narrative import sentence_of, title_of
from correlator.explanation.scope import DIMENSIONS, Channel, as_text, scan
from correlator.explanation.service_health import Change, Proof, find_changes, versions_of
from correlator.explanation.timing import Onset, find_onset
from correlator.explanation.traces import failed_traces
from correlator.explanation.verdict import conclude
from correlator.explanation.window import Question, Window, slow_routes, trace_params

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: An onset is looked for this long before the alarm's first sign.
ONSET_REACH_MS = 6 * 3_600_000
#: A campaign with less than this share of the clicks in scope is there by accident of matching.
LEAST_PART = 0.005
SHARE_PRIOR = 100.0
#: Under these nothing is wasted either: orders go on, only their record is lost or late.
SALES_GO_ON = frozenset({Verdict.TRACKING_BROKEN, Verdict.PLATFORM_DATA_LATE})
#: No sale is lost: those, and visitors who were added and never meant to buy.
NO_SALE_LOST = SALES_GO_ON | {Verdict.TRAFFIC_CHANGED}
#: Stretch before the onset whose level counts as usual.
LEVEL_MS = 60_000


class Alarm(NamedTuple):
    """Which stream fired: its kind (conversions, lost, invalid, errors, slow), name, and the cells' scope it stands for."""

    kind: str
    stream: str
    scope: dict[str, str]
    detected: int


class Case(NamedTuple):
    """What stays the same over the life of one incident."""

    incident_id: str
    alarm: Alarm


class Located(NamedTuple):
    """Where and when."""

    scope: dict[str, str]
    onset: Onset


def locate(window: Window, alarm: Alarm) -> Located:
    """Onset of what fired, scope since then, and the onset again inside that scope."""
    chosen = window.inside(alarm.scope)
    if not chosen.any():
        chosen = np.ones(len(window.cells), dtype=np.bool_)
    rough = find_onset(window, chosen, before=alarm.detected, not_before=alarm.detected - ONSET_REACH_MS)
    scope = find_scope(window, rough.at, kind=alarm.kind)
    inside = window.inside(scope)
    return Located(scope, find_onset(window, inside, before=alarm.detected, not_before=rough.at - 15 * 60_000))


def find_scope(window: Window, onset: int, *, kind: str) -> dict[str, str]:
    """The simplest combination that explains what happened since the onset."""
    values = {name: window.values(name) for name in DIMENSIONS}
    best = scan(values, channels(window, window.bucket_of(onset), kind=kind))
    return as_text(best[0].scope) if best else {}


def channels(window: Window, first: int, *, kind: str) -> list[Channel]:
    """What the scan weighs, by cell, since the onset's bucket."""
    since, before = np.s_[:, first:], np.s_[:, :first]
    found = [Channel("drop", window.observed_by_click[since].sum(1), window.expected_by_click[since].sum(1))]
    arrivals = Channel("drop", window.observed[since].sum(1), window.expected[since].sum(1))
    if arrivals.trials.sum() - arrivals.hits.sum() > found[0].trials.sum() - found[0].hits.sum():
        found = [arrivals]
    for hits, trials in ((window.failed, window.traced), (window.slow, window.traced), (window.lost, window.hits)):
        usual = (hits[before].sum() + 0.01 * SHARE_PRIOR) / (trials[before].sum() + SHARE_PRIOR)
        found.append(Channel("share", hits[since].sum(1) / 2, trials[since].sum(1) / 2, usual * 1.5 + 0.01))
    if kind in ("conversions", "invalid") and first > 0:
        found += _flood(window, first)
    return found


def _flood(window: Window, first: int) -> list[Channel]:
    """Hits in excess of what each cell had before; only when something at least doubled against the rest."""
    lead = window.hits[:, max(0, first - LEVEL_MS // window.bucket_ms) : first]
    length = window.hits.shape[1] - first
    usual = lead.mean(1) * length
    seen = window.hits[:, first:].sum(1)
    level = np.median(seen[usual >= 5] / usual[usual >= 5]) if (usual >= 5).any() else 1.0
    due = np.maximum(usual * max(float(level), 0.1) * 1.5, 1.0)
    if not (seen > 2 * due).any():
        return []
    return [Channel("rise", seen / 4, due / 4)]


def build_payload(
    store: Store,
    model: BaselineModel,
    window: Window,
    *,
    case: Case,
    located: Located,
    question: Question,
    verdict: Verdict | None = None,
) -> IncidentPayload:
    """All figures since the onset. With `verdict` given, the probabilities are kept as they were concluded."""
    scope, onset = located
    inside, first = window.inside(scope), window.bucket_of(onset.at)
    changes = find_changes(window.service, onset=onset.at, bounds=slow_routes(model))
    situation = Situation(
        window, inside, first, changes, proofs(store, model, question, window, onset.at), _seen(window, onset.at)
    )
    evidence = gather(situation)
    posterior = conclude(evidence)
    named = verdict or next(iter(posterior))
    names = {c: f.name for c, f in window.campaigns.items() if f.name}
    campaigns = affected(window, inside, first=first, verdict=named)
    losing = _losing(window, inside, campaigns, verdict=named)
    figures = Figures.of(window, losing if losing.any() else inside, first=first, verdict=named)
    lost = (0.0, 0.0, 0.0) if named in SALES_GO_ON else (figures.lost_low, figures.lost_share, figures.lost_high)
    paying = inside if named in SALES_GO_ON or not losing.any() else losing
    cost = cost_of(window, paying, first=first, lost=lost, missing=0 if named in SALES_GO_ON else figures.missing)
    suspects = rank_deploys(
        window.markers,
        onset,
        named,
        changes=changes,
        versions={m.service: versions_of(window.service, changes, m.service, onset=onset.at) for m in window.markers},
        services=frozenset(m.service for m in window.service),
    )
    words = {"scope": scope, "names": names}
    return IncidentPayload(
        incident_id=case.incident_id,
        title=title_of(named, **words),
        sentence=sentence_of(
            named,
            **words,
            onset=onset.at,
            expected=figures.expected,
            observed=figures.observed,
            lost_share=figures.lost_share,
            cost=cost,
            evidence=evidence,
            deploys=suspects,
            campaigns=campaigns,
            basis="target" if all(window.bases[r] == "target" for r in np.flatnonzero(inside)) else "history",
        ),
        verdict=named.value,
        confidence=round(posterior[named], 4),
        alternatives={v.value: round(p, 4) for v, p in posterior.items() if p >= 0.0005},
        direction="drop",
        hypothesis=onset.hypothesis,
        scope=scope,
        stream=case.alarm.stream,
        onset=onset.at,
        onset_low=onset.low,
        onset_high=onset.high,
        detected=case.alarm.detected,
        complete_through=window.end,
        expected=round(figures.expected, 2),
        observed=figures.observed,
        lost_share=round(lost[1], 4),
        lost_share_low=round(lost[0], 4),
        lost_share_high=round(lost[2], 4),
        clicks=round(figures.clicks, 1),
        baseline_rate=figures.baseline_rate,
        rate=figures.rate,
        rate_low=figures.rate_low,
        rate_high=figures.rate_high,
        cost=cost,
        evidence=evidence,
        deploys=suspects,
        traces=failed_traces(
            store, model, start=onset.low, end=window.end, scope=scope, verdict=named, changes=changes
        ),
        campaigns=campaigns,
        routes=[c.name for c in changes],
        infrastructure_healthy=not changes,
    )


class Figures(NamedTuple):
    """Conversions since the onset against the expected, with always-valid limits."""

    expected: float
    observed: int
    clicks: float
    baseline_rate: float
    rate: float
    rate_low: float
    rate_high: float
    lost_share: float
    lost_low: float
    lost_high: float

    @property
    def missing(self) -> float:
        return max(self.expected - self.observed, 0.0)

    @classmethod
    def of(cls, window: Window, chosen: Mask, *, first: int, verdict: Verdict) -> Figures:
        """Figures of the `chosen` cells. People whose hit was lost at the redirect count as clicks when it is the redirect that fails."""
        due = window.expected[chosen][:, first:].sum(1)
        if verdict is Verdict.REDIRECT_FAILING:
            due = due + window.expected_lost[chosen][:, first:].sum(1)
        expected, observed = float(due.sum()), int(window.observed[chosen][:, first:].sum())
        rates = np.maximum(window.rates[chosen], 1e-9)
        clicks = float((due / rates).sum())
        baseline = expected / clicks if clicks > 0 else float(rates.mean()) if rates.size else 0.0
        low, high = ratio_limits(observed, expected)
        ratio = observed / expected if expected > 0 else 1.0
        return cls(
            expected=expected,
            observed=observed,
            clicks=clicks,
            baseline_rate=round(baseline, 6),
            rate=round(baseline * ratio, 6),
            rate_low=round(baseline * low, 6),
            rate_high=round(min(1.0, baseline * min(high, 1e6)), 6),
            lost_share=_share(1 - ratio),
            lost_low=_share(1 - high),
            lost_high=_share(1 - low),
        )


def affected(window: Window, inside: Mask, *, first: int, verdict: Verdict) -> list[AffectedCampaign]:
    """Every campaign with clicks in the scope, the one that wastes most first."""
    owners = np.asarray([cell.campaign for cell in window.cells], dtype=object)
    total = float(window.hits[inside].sum())
    costly = cell_costs(window)
    found = []
    for name in sorted({str(n) for n in owners[inside]}):
        own = owners == name
        if not name or window.hits[own & inside].sum() < max(LEAST_PART * total, 1.0):
            continue
        found.append(
            _campaign(window, name, own, inside, first=first, verdict=verdict, known_cost=bool(costly[own].any()))
        )
    return sorted(found, key=lambda c: (-c.wasted_per_hour_micros, c.campaign))


def _campaign(
    window: Window, name: str, own: Mask, inside: Mask, *, first: int, verdict: Verdict, known_cost: bool
) -> AffectedCampaign:
    facts = window.campaigns.get(name)
    chosen = own & inside
    figures = Figures.of(window, chosen, first=first, verdict=verdict)
    _, hourly = spend(window, chosen, first=first) if known_cost else (0.0, 0.0)
    parallel = facts.parallel_tracking if facts is not None else False
    parallel = parallel or bool(window.lost_parallel[chosen].sum() > 0.5 * max(window.lost[chosen].sum(), 1e-9))
    loses = verdict not in NO_SALE_LOST and not (verdict is Verdict.REDIRECT_FAILING and parallel)
    wastes = loses or verdict is Verdict.TRAFFIC_CHANGED
    return AffectedCampaign(
        campaign=name,
        platform=(facts.platform if facts is not None and facts.platform else name.split(":", 1)[0]),
        name=facts.name if facts is not None else "",
        client=facts.client if facts is not None else "",
        parallel_tracking=parallel,
        clicks=round(figures.clicks, 1),
        expected=round(figures.expected, 2),
        observed=figures.observed,
        baseline_rate=figures.baseline_rate,
        rate=figures.rate,
        rate_low=figures.rate_low,
        rate_high=figures.rate_high,
        break_even_rate=_break_even(window, name),
        loses_sales=loses,
        scope_share=round(float(window.hits[chosen].sum() / max(window.hits[own].sum(), 1.0)), 4),
        exposed_per_hour_micros=round(hourly),
        wasted_per_hour_micros=round(hourly * figures.lost_share) if wastes else 0,
        currency=facts.currency if facts is not None else "",
    )


def _break_even(window: Window, name: str) -> float | None:
    """The stated break-even rate, else cost per click / margin per conversion; None when the margin is unknown."""
    facts = window.campaigns.get(name)
    if facts is None:
        return None
    if facts.break_even_rate > 0:
        return facts.break_even_rate
    return facts.cpc_micros / facts.margin_micros if facts.margin_micros > 0 and facts.cpc_micros > 0 else None


def _losing(window: Window, inside: Mask, campaigns: Sequence[AffectedCampaign], *, verdict: Verdict) -> Mask:
    """Cells of the campaigns that lose sales; all in scope where sales go on, so that the apparent drop is still told."""
    if verdict in NO_SALE_LOST:
        return inside
    names = {c.campaign for c in campaigns if c.loses_sales}
    mask: Mask = inside & np.asarray([cell.campaign in names for cell in window.cells], dtype=np.bool_)
    return mask


def proofs(store: Store, model: BaselineModel, question: Question, window: Window, onset: int) -> dict[str, Proof]:
    """Click-level proof since the onset, by kind. Clicks get the law's median time to convert before they are judged."""
    settle = round(min(model.law.age_at(0.5), (window.end - onset) / 3))
    params: dict[str, object] = {
        "start": onset,
        "end": max(window.end - settle, onset + 1),
        "types": list(question.types),
        "origin": question.origin,
        **trace_params(model),
    }
    rows = run(store, "explanation_proof", params).to_pylist()
    found = {}
    for kind, column in (("errors", "failed"), ("slow", "slow")):
        bad = [r for r in rows if r[column]]
        good = [r for r in rows if not r["failed"] and not r["slow"]]
        found[kind] = Proof(
            sum(r["clicks"] for r in bad),
            sum(r["converted"] for r in bad),
            sum(r["clicks"] for r in good),
            sum(r["converted"] for r in good),
        )
    return found


def route_changes(window: Window, model: BaselineModel, onset: int) -> list[Change]:
    """Routes that changed since the onset, for the recovery test to watch."""
    return find_changes(window.service, onset=onset, bounds=slow_routes(model))


def _seen(window: Window, onset: int) -> bool:
    """Whether services were heard of often enough since the onset for their silence to mean health."""
    return sum(m.requests for m in window.service if m.minute >= onset - onset % 60_000) >= 20


def _share(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))
