"""From an alarm to everything an incident says: onset, scope, verdict, deploys, cost, traces, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.incidents import Evidence, IncidentPayload, SuspectDeploy, Verdict
from core.store.client import Store
from correlator.detection.baseline import BaselineModel
from correlator.detection.history import run
from correlator.explanation.cost import cost_of, keep_rates
from correlator.explanation.deploys import rank_deploys
from correlator.explanation.evidence import gather
from correlator.explanation.figures import (
    NO_SALE_LOST,
    Figures,
    affected,
    keep_campaign_rates,
    losing_cells,
)
from correlator.explanation.narrative import sentence_of, title_of
from correlator.explanation.proxies import proxy_sentence
from correlator.explanation.scope import DIMENSIONS, Channel, as_text, scan
from correlator.explanation.service_health import Change, Proof, find_changes, versions_of
from correlator.explanation.situation import DISPERSION, SHARE_DISPERSION, TRAFFIC_DISPERSION, Situation
from correlator.explanation.timing import Onset, find_onset
from correlator.explanation.traces import failed_traces
from correlator.explanation.verdict import conclude
from correlator.explanation.window import Question, Window, levels, slow_routes, trace_params

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: An onset is looked for this long before the alarm's first sign.
ONSET_REACH_MS = 6 * 3_600_000
SHARE_PRIOR = 100.0
#: An alarm of one false alarm a month stands for about this much: ln of the minutes of a month, less what is lost between two tests.
ALARMED_NATS = 8.0
#: An onset this near to the window's beginning may lie before it.
EDGE_MS = 3 * 60_000
#: Stretch before the onset whose level of hits counts as usual.
FLOOD_LEVEL_MS = 10 * 60_000


class Alarm(NamedTuple):
    """Which stream fired: its kind (conversions, lost, invalid, errors, slow), name, and the cells' scope it stands for."""

    kind: str
    stream: str
    scope: dict[str, str]
    detected: int


class Case(NamedTuple):
    """What is known of an incident beforehand: its ID, its alarm, and what was told of it last."""

    incident_id: str
    alarm: Alarm
    told: IncidentPayload | None = None


class Located(NamedTuple):
    """Where and when."""

    scope: dict[str, str]
    onset: Onset


def too_short(window: Window, alarm: Alarm) -> bool:
    """Whether it may have begun before this window, or the detector has seen more than the window can show."""
    chosen = window.inside(alarm.scope)
    onset = find_onset(
        window, chosen, before=alarm.detected, not_before=alarm.detected - ONSET_REACH_MS, sharp_only=sharp(alarm)
    )
    at_the_edge = onset.low < window.start + EDGE_MS
    return at_the_edge or (alarm.kind == "conversions" and onset.log_likelihood < ALARMED_NATS)


def locate(window: Window, alarm: Alarm) -> Located:
    """Onset of what fired, scope since then, and the onset again inside that scope."""
    chosen = window.inside(alarm.scope)
    if not chosen.any():
        chosen = np.ones(len(window.cells), dtype=np.bool_)
    rough = find_onset(
        window, chosen, before=alarm.detected, not_before=alarm.detected - ONSET_REACH_MS, sharp_only=sharp(alarm)
    )
    scope = find_scope(window, rough.at, alarm=alarm)
    inside = window.inside(scope)
    return Located(
        scope,
        find_onset(window, inside, before=alarm.detected, not_before=rough.at - 15 * 60_000, sharp_only=sharp(alarm)),
    )


def relocate(window: Window, alarm: Alarm, known: Located) -> Located:
    """Where and when by what was seen since: the first minute of a small fault leaves the onset open, and a wide onset dilutes all figures."""
    scope = find_scope(window, known.onset.at, alarm=alarm)
    onset = find_onset(
        window, window.inside(scope), before=alarm.detected, not_before=known.onset.low, sharp_only=sharp(alarm)
    )
    return Located(find_scope(window, onset.at, alarm=alarm), onset)


def sharp(alarm: Alarm) -> bool:
    """Whether a share of requests or hits fired rather than conversions."""
    return alarm.kind != "conversions"


def find_scope(window: Window, onset: int, *, alarm: Alarm) -> dict[str, str]:
    """The simplest combination that explains what happened since the onset."""
    values = {name: window.values(name) for name in DIMENSIONS}
    alarmed = window.inside(alarm.scope)
    best = scan(values, channels(window, window.bucket_of(onset), kind=alarm.kind), alarmed=alarmed)
    return as_text(best[0].scope) if best else {}


def channels(window: Window, first: int, *, kind: str) -> list[Channel]:
    """What the scan weighs, by cell, since the onset's bucket."""
    since = np.s_[:, first:]
    level, known = levels(window, first)
    due = [window.expected_by_click[since].sum(1) * level, window.expected[since].sum(1) * level]
    seen = [window.observed_by_click[since].sum(1), window.observed[since].sum(1)]
    # Of both hypotheses about time the one under which more is missing.
    chosen = int(due[1].sum() - seen[1].sum() > due[0].sum() - seen[0].sum())
    found = [Channel("drop", seen[chosen], due[chosen], known=known, dispersion=DISPERSION)]
    for hits, trials in ((window.failed, window.traced), (window.slow, window.traced), (window.lost, window.hits)):
        usual = usual_shares(hits[:, :first].sum(1), trials[:, :first].sum(1))
        found.append(
            Channel("share", hits[since].sum(1), trials[since].sum(1), usual * 1.5 + 0.001, dispersion=SHARE_DISPERSION)
        )
    if kind in ("conversions", "invalid") and first > 0:
        found += _flood(window, first)
        robots = window.robots
        usual = usual_shares(robots[:, :first].sum(1), window.hits[:, :first].sum(1))
        found.append(
            Channel(
                "share",
                robots[since].sum(1),
                window.hits[since].sum(1),
                usual * 1.5 + 0.01,
                dispersion=SHARE_DISPERSION,
            )
        )
    return found


def usual_shares(hits: Array, trials: Array) -> Array:
    """The share of every cell before the onset, shrunk towards that of all as if that had been seen in `SHARE_PRIOR` trials."""
    everywhere = (hits.sum() + 0.002 * SHARE_PRIOR) / (trials.sum() + SHARE_PRIOR)
    shares: Array = (hits + everywhere * SHARE_PRIOR) / (trials + SHARE_PRIOR)
    return shares


def _flood(window: Window, first: int) -> list[Channel]:
    """Hits in excess of what each cell had before; only when something at least doubled against the rest."""
    lead = window.hits[:, max(0, first - max(1, FLOOD_LEVEL_MS // window.bucket_ms)) : first]
    length = window.hits.shape[1] - first
    usual = lead.mean(1) * length
    seen = window.hits[:, first:].sum(1)
    level = np.median(seen[usual >= 5] / usual[usual >= 5]) if (usual >= 5).any() else 1.0
    due = np.maximum(usual * max(float(level), 0.1), 1.0)
    if not ((seen > 2 * due) & (seen - due > 5 * np.sqrt(TRAFFIC_DISPERSION * due))).any():
        return []
    return [Channel("rise", seen, due * 1.5, known=lead.sum(1) + 1.0, dispersion=TRAFFIC_DISPERSION)]


class Conclusion(NamedTuple):
    """What happened and by what evidence."""

    verdict: Verdict
    posterior: dict[Verdict, float]
    evidence: list[Evidence]
    changes: list[Change]


def conclude_from(
    store: Store, model: BaselineModel, window: Window, located: Located, *, question: Question
) -> Conclusion:
    """Gather the evidence since the onset, click-level proof included, and weigh it."""
    return weigh(window, model, located, proven=proofs(store, model, question, window, located.onset.at))


def weigh(window: Window, model: BaselineModel, located: Located, *, proven: dict[str, Proof]) -> Conclusion:
    """What the window says since the onset, together with the click-level proof."""
    onset = located.onset.at
    changes = route_changes(window, model, onset)
    evidence = gather(
        Situation(
            window,
            window.inside(located.scope),
            window.bucket_of(onset),
            changes,
            proven,
            _seen(window, onset),
            levels(window, window.bucket_of(onset))[0],
            located.onset,
        )
    )
    posterior = conclude(evidence)
    return Conclusion(next(iter(posterior)), posterior, evidence, changes)


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
    """All figures since the onset, and the traces that prove it. With `verdict` given, that one stands, whatever the evidence says by now."""
    found = conclude_from(store, model, window, located, question=question)
    told = tell(window, case=case, located=located, found=found, verdict=verdict)
    traces = failed_traces(
        store,
        model,
        start=told.onset_low,
        end=window.end,
        scope=told.scope,
        verdict=verdict or found.verdict,
        changes=found.changes,
    )
    return msgspec.structs.replace(told, traces=traces)


def tell(
    window: Window, *, case: Case, located: Located, found: Conclusion, verdict: Verdict | None = None
) -> IncidentPayload:
    """All figures since the onset from the window alone: everything but the traces."""
    named = verdict or found.verdict
    scope, onset = located
    inside, first = window.inside(scope), window.bucket_of(onset.at)
    campaigns = affected(window, inside, first=first, verdict=named)
    paying = losing_cells(window, inside, campaigns, verdict=named)
    figures = Figures.of(window, paying, first=first, verdict=named)
    lost = (0.0, 0.0, 0.0) if named in NO_SALE_LOST else (figures.lost_low, figures.lost_share, figures.lost_high)
    # Platforms do not charge for most robots, but nobody knows before they report: from nothing to everything.
    wasted = (0.0, 0.0, figures.lost_share) if named is Verdict.TRAFFIC_CHANGED else lost
    missing = 0.0 if named in NO_SALE_LOST else figures.missing
    cost = cost_of(window, paying, first=first, lost=wasted, missing=missing)
    if case.told is not None and case.told.scope == scope:
        cost, campaigns = keep_rates(cost, case.told.cost), keep_campaign_rates(campaigns, case.told.campaigns)
    touched = frozenset(campaign.campaign for campaign in campaigns)
    suspects = suspects_of(window, onset, named, found.changes, campaigns=touched)
    names = {c: f.name for c, f in window.campaigns.items() if f.name}
    sentence = sentence_of(
        named,
        scope=scope,
        names=names,
        onset=onset.at,
        expected=figures.expected,
        observed=figures.observed,
        lost_share=figures.lost_share,
        cost=cost,
        evidence=found.evidence,
        deploys=suspects,
        campaigns=campaigns,
        basis="target" if all(window.bases[row] == "target" for row in np.flatnonzero(inside)) else "history",
    )
    return IncidentPayload(
        incident_id=case.incident_id,
        title=title_of(named, scope, names),
        sentence=sentence + proxy_sentence(window, case.alarm.kind, first),
        verdict=named.value,
        confidence=round(found.posterior[named], 4),
        alternatives={v.value: round(p, 4) for v, p in found.posterior.items() if p >= 0.0005},
        direction="drop",
        hypothesis=onset.hypothesis,
        scope=scope,
        stream=case.alarm.stream,
        onset=onset.at,
        onset_low=onset.low,
        onset_high=onset.high,
        detected=case.alarm.detected,
        complete_through=window.end,
        lost_share=round(lost[1], 4),
        lost_share_low=round(lost[0], 4),
        lost_share_high=round(lost[2], 4),
        **figures.shown(),
        cost=cost,
        evidence=found.evidence,
        deploys=suspects,
        campaigns=campaigns,
        routes=[change.name for change in found.changes],
        infrastructure_healthy=not found.changes,
    )


def suspects_of(
    window: Window, onset: Onset, verdict: Verdict, changes: Sequence[Change], *, campaigns: frozenset[str]
) -> list[SuspectDeploy]:
    """The change markers, ranked."""
    return rank_deploys(
        window.markers,
        onset,
        verdict,
        changes=changes,
        versions={m.service: versions_of(window.service, changes, m.service, onset=onset.at) for m in window.markers},
        services=frozenset(m.service for m in window.service),
        campaigns=campaigns,
    )


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
