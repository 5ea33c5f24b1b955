"""Gathers the evidence for a verdict from the facts around an onset. Every piece carries the numbers it rests on.

A piece speaks for a verdict with positive nats and against it with negative ones; what was looked at and found healthy counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from core.incidents import Evidence, Verdict
from core.metric_catalogue import value
from correlator.explanation.service_health import Change, Proof, proof_log_ratio, rise_log_ratio
from correlator.explanation.verdict import CAP
from correlator.explanation.window import Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Counts of a stretch vary more than Poisson.
DISPERSION = 1.5
#: A share that rises by less than this, or traffic that grows by less, is no sign.
LEAST_RISE = 0.05
LEAST_GROWTH = 1.8
#: The usual level is that of the last minute before the onset: further back the day (or a start of traffic) was another.
LEVEL_MS = 60_000
LEVEL_ERRORS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
#: Requests or hits needed before "healthy" means anything.
ENOUGH = 20.0
#: Hits of one cell in the minute before the onset that make its growth worth a look.
ENOUGH_OF_A_CELL = 5.0


class Situation(NamedTuple):
    """What the evidence is gathered from. `first` is the onset's bucket in the window, `inside` the scope's cells."""

    window: Window
    inside: Mask
    first: int
    changes: Sequence[Change]
    proofs: dict[str, Proof]  # errors, slow
    services_seen: bool


def gather(situation: Situation) -> list[Evidence]:
    """All evidence, strongest first."""
    pieces = [
        *_routes(situation),
        *_lost_hits(situation),
        *_unmatched(situation),
        *_traffic(situation),
        *_proofs(situation),
        *_browser_errors(situation),
        *_silent_tags(situation),
        *_everything_stopped(situation),
    ]
    # What is beyond the cap is equally strong: then the order above decides, causes before consequences.
    return sorted(pieces, key=lambda piece: -min(abs(piece.log_likelihood), CAP))


def _piece(name: str, verdict: Verdict, nats: float, text: str, **figures: float) -> Evidence:
    rounded = {key: round(float(value), 4) for key, value in figures.items()}
    return Evidence(name=name, text=text, verdict=verdict.value, log_likelihood=round(float(nats), 2), figures=rounded)


def _routes(s: Situation) -> list[Evidence]:
    """Errors and delays of routes, or their absence."""
    errors = next((c for c in s.changes if c.kind == "errors"), None)
    slow = next((c for c in s.changes if c.kind == "slow"), None)
    found: list[Evidence] = []
    if errors is not None:
        text = f"{errors.name} fails for {errors.after:.0%} of requests, {errors.before:.1%} before"
        found.append(
            _piece(
                "route_errors", Verdict.SITE_FAILING, errors.log_ratio, text, before=errors.before, after=errors.after
            )
        )
        found.append(_piece("route_errors", Verdict.TRACKING_BROKEN, -min(errors.log_ratio, 3.0), text))
    if slow is not None:
        text = (
            f"{slow.after:.0%} of requests to {slow.name} take longer than {slow.bound_s:g} s, {slow.before:.1%} before"
        )
        figures = {"before": slow.before, "after": slow.after, "bound_s": slow.bound_s}
        # What fails slowly is failing: delays speak for "slow" only as far as errors do not explain them.
        nats = min(slow.log_ratio, 6.0) - (min(errors.log_ratio, 6.0) if errors is not None else 0.0)
        found.append(_piece("route_delays", Verdict.SITE_SLOW, nats, text, **figures))
    if errors is None and s.services_seen:
        text = "no route of any service fails more than before"
        found.append(_piece("routes_healthy", Verdict.SITE_FAILING, -3.0, text))
    if slow is None and s.services_seen:
        found.append(_piece("routes_healthy", Verdict.SITE_SLOW, -3.0, "no route of any service is slower than before"))
    return found


def lost_shares(lost: Array, hits: Array, first: int) -> tuple[float, float]:
    """The share of hits that got no redirect, before the bucket `first` and from there on; 0 without hits."""
    return _lost_share(lost[:first], hits[:first]), _lost_share(lost[first:], hits[first:])


def _lost_share(lost: Array, hits: Array) -> float:
    return value("lost_share", lost_hits=float(lost.sum()), hits=float(hits.sum())) or 0.0


def _lost_hits(s: Situation) -> list[Evidence]:
    """Hits on known links that got no redirect."""
    w, first = s.window, s.first
    lost, hits = w.lost[s.inside].sum(0), w.hits[s.inside].sum(0)
    after, trials = lost[first:].sum(), hits[first:].sum()
    before, share = lost_shares(lost, hits, first)
    nats = rise_log_ratio(lost[:first].sum(), hits[:first].sum(), after, trials) / 2
    if share - before < LEAST_RISE:
        healthy = -4.0 if trials >= ENOUGH else 0.0
        return [
            _piece("redirect_healthy", Verdict.REDIRECT_FAILING, healthy, "the redirect answers as usual", lost=share)
        ]
    text = f"{share:.0%} of the hits in scope were not answered by a redirect, {before:.1%} before"
    through = after - w.lost_parallel[s.inside][:, first:].sum()
    # Under parallel tracking the buyer arrives all the same: only the record of the click is lost (design §7.6).
    verdict = Verdict.REDIRECT_FAILING if through > 0 else Verdict.TRACKING_BROKEN
    figures = {"before": float(before), "after": float(share), "through_redirect": float(through)}
    return [
        _piece("lost_hits", verdict, nats, text, **figures),
        _piece("lost_hits", Verdict.SITE_FAILING, -min(nats, 2.0), text),
    ]


def _unmatched(s: Situation) -> list[Evidence]:
    """Do conversions without a click rise by what matched ones fall? Then sales go on and only their trace is lost."""
    w, first = s.window, s.first
    missing = float((w.expected[s.inside][:, first:] - w.observed[s.inside][:, first:]).sum())
    if missing < 3 or first < 6:
        return []
    seen = float(w.unmatched[first:].sum())
    usual = _usual_unmatched(w, first)
    as_lost = max(_log_poisson(seen, u * kept) for u in usual for kept in (1.0, 0.5, 0.1))
    as_untracked = max(_log_poisson(seen, u + missing) for u in usual)
    nats = (as_untracked - as_lost) / DISPERSION
    figures = {"unmatched": seen, "usual": usual[0], "missing": missing}
    if nats <= 0:
        text = f"{seen:.0f} orders came without a click, usually {usual[0]:.0f}: too few for the {missing:.0f} that are missing"
        return [_piece("unmatched_conversions", Verdict.TRACKING_BROKEN, nats, text, **figures)]
    text = f"{seen:.0f} orders came without a click, usually {usual[0]:.0f}: about the {missing:.0f} that are missing"
    return [
        _piece("unmatched_conversions", Verdict.TRACKING_BROKEN, nats, text, **figures),
        *(
            _piece("unmatched_conversions", verdict, -min(nats, 4.0), text)
            for verdict in (Verdict.SITE_FAILING, Verdict.SITE_SLOW, Verdict.REDIRECT_FAILING, Verdict.TRAFFIC_CHANGED)
        ),
    ]


def _usual_unmatched(w: Window, first: int) -> list[float]:
    """Expected number without a click since the onset: by time, and by how much more traffic there is."""
    before, after = float(w.unmatched[:first].sum()) + 0.5, w.clicks.shape[1] - first
    by_time = before * after / first
    expected = w.expected.sum(0)
    by_traffic = before * float(expected[first:].sum()) / max(float(expected[:first].sum()), 1e-9)
    return [by_time, by_traffic] if by_traffic > 0 else [by_time]


def _traffic(s: Situation) -> list[Evidence]:
    """Many more hits while the *number* of conversions stays: visitors who do not buy were added."""
    w, first = s.window, s.first
    hits, lead = w.hits[s.inside].sum(0), max(1, LEVEL_MS // w.bucket_ms)
    everywhere = min(max(_usual_growth(w.hits[~s.inside], first, lead), 1 / 3), 3.0)
    growth = _growth(hits, first, lead) / everywhere
    if growth < LEAST_GROWTH:
        nats = -4.0 if hits[:first].sum() >= ENOUGH else 0.0
        return [_piece("traffic_steady", Verdict.TRAFFIC_CHANGED, nats, "no more hits than before", growth=growth)]
    # By click time, so that neither old clicks nor the young age of the new ones blur the comparison.
    due = float(w.expected_by_click[s.inside][:, first:].sum())
    seen = float(w.observed_by_click[s.inside][:, first:].sum())
    unchanged = min(_due_of_usual_traffic(w, s.inside, first, lead) * everywhere, due)
    # The usual level is known from one minute: it may be some way off.
    as_before = max(_log_poisson(seen, max(unchanged * off, 0.5)) for off in LEVEL_ERRORS) - np.log(len(LEVEL_ERRORS))
    # Against a loss of any size: a uniform prior over the kept share spreads its probability over 0 … due.
    nats = (as_before + np.log(max(due, 1.0))) / DISPERSION + np.log(growth)
    text = f"hits rose {growth:.1f} times, conversions did not ({seen:.0f}, {unchanged:.0f} at the usual traffic)"
    figures = {"growth": growth, "observed": seen, "unchanged": unchanged}
    return [
        _piece("traffic_rise", Verdict.TRAFFIC_CHANGED, nats, text, **figures),
        *(
            _piece("traffic_rise", verdict, -min(max(nats, 0.0), 3.0), text)
            for verdict in (Verdict.SITE_FAILING, Verdict.SITE_SLOW, Verdict.DEMAND_CHANGED)
        ),
    ]


def _due_of_usual_traffic(w: Window, inside: Mask, first: int, lead: int) -> float:
    """Conversions by now of clicks since the onset, had the scope kept the clicks of the minute before, with *their* mix of cells.

    What was added may sit in cells that convert better or worse, and come and go within minutes: dividing all that is due by the
    growth of the clicks would count the usual visitors at the rate and the age of the added ones.
    """
    worth = w.clicks * w.rates[:, None]
    before = worth[inside][:, max(0, first - 1 - lead) : max(1, first - 1)].sum(0).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        arrived = np.nan_to_num(
            w.expected_by_click.sum(0) / worth.sum(0)
        )  # share that converted by now, and the season
    return float(before * arrived[first:].sum())


def _usual_growth(counts: Array, first: int, lead: int) -> float:
    """Growth of the middle cell outside the scope, by traffic: what was added may reach into some of them."""
    before = counts[:, max(0, first - 1 - lead) : max(1, first - 1)]
    busy = before.sum(1) >= ENOUGH_OF_A_CELL
    if not busy.any():
        return _growth(counts.sum(0), first, lead)
    growth = np.asarray([_growth(row, first, lead) for row in counts[busy]])
    order = np.argsort(growth)
    weight = np.cumsum(before[busy].sum(1)[order])
    return float(growth[order][np.searchsorted(weight, weight[-1] / 2)])


def hits_a_second(w: Window, inside: Mask, first: int) -> tuple[float, float]:
    """Hits of the scope in the minute before the onset and since."""
    hits, lead = w.hits[inside].sum(0), max(1, LEVEL_MS // w.bucket_ms)
    before, after = hits[max(0, first - 1 - lead) : max(1, first - 1)], hits[first:]
    seconds = w.bucket_ms / 1000
    return float(before.mean()) / seconds, float(after.mean() if after.size else 0.0) / seconds


def _growth(counts: Array, first: int, lead: int) -> float:
    """Mean since the onset / mean of the `lead` buckets before it; the one just before may already hold some of the change."""
    before = counts[max(0, first - 1 - lead) : max(1, first - 1)]
    if before.size == 0 or counts[first:].size == 0:
        return 1.0
    return float((counts[first:].mean() + 0.05) / (before.mean() + 0.05))


def _proofs(s: Situation) -> list[Evidence]:
    """Click-level proof."""
    found = []
    for kind, verdict, words in (("errors", Verdict.SITE_FAILING, "failed"), ("slow", Verdict.SITE_SLOW, "waited")):
        proof = s.proofs.get(kind)
        if proof is None or proof.bad_clicks < 5 or proof.good_clicks < 5:
            continue
        bad, good = proof.bad_converted / proof.bad_clicks, proof.good_converted / proof.good_clicks
        text = f"of {proof.bad_clicks} paid clicks whose own trace {words} {bad:.1%} converted, of the other {proof.good_clicks} {good:.1%}"
        nats = proof_log_ratio(proof) if bad < good else 0.0
        found.append(_piece(f"click_proof_{kind}", verdict, nats, text, bad=bad, good=good))
    return found


def _browser_errors(s: Situation) -> list[Evidence]:
    """Errors that browsers report, per page view."""
    w, first = s.window, s.first
    views = w.touches.get("page_view")
    found = []
    for name, verdict in (("form_error", Verdict.SITE_FAILING), ("js_error", Verdict.SITE_FAILING)):
        errors = w.touches.get(name)
        if errors is None or views is None:
            continue
        after, trials = errors[first:].sum(), max(views[first:].sum(), errors[first:].sum())
        share, before = after / max(trials, 1.0), errors[:first].sum() / max(views[:first].sum(), 1.0)
        nats = rise_log_ratio(errors[:first].sum(), max(views[:first].sum(), errors[:first].sum()), after, trials) / 2
        if nats < 1.0 or share < 1.5 * before:
            continue
        words = "form errors" if name == "form_error" else "script errors"
        text = f"{words} rose to {share:.1%} of page views, {before:.1%} before"
        found.append(_piece(name, verdict, min(nats, 4.0), text, before=float(before), after=float(share)))
    return found


def _silent_tags(s: Situation) -> list[Evidence]:
    """Touches that know their click die away while the clicks go on and services are well: the tag or cookie is gone."""
    w, first = s.window, s.first
    clicked = sum(w.clicked_touches.values(), np.zeros(w.clicks.shape[1]))
    clicks = w.clicks.sum(0)
    before = clicked[:first].sum() / max(clicks[:first].sum(), 1.0)
    after = clicked[first:].sum() / max(clicks[first:].sum(), 1.0)
    if clicked[:first].sum() < ENOUGH or clicks[first:].sum() < ENOUGH or after > 0.5 * before or s.changes:
        return []
    lead = max(1, LEVEL_MS // w.bucket_ms)
    if _growth(clicked, first, lead) > 0.6:
        return []  # as many reports as before: there are only more clicks that make none
    text = f"browsers report {after:.2f} events per click, {before:.2f} before, while every route answers"
    return [_piece("silent_tags", Verdict.TRACKING_BROKEN, 4.0, text, before=float(before), after=float(after))]


def _everything_stopped(s: Situation) -> list[Evidence]:
    """No conversion of any kind although the services are well: the feed is late, not the customers."""
    w, first = s.window, s.first
    due, seen = float(w.expected[:, first:].sum()), float(w.observed[:, first:].sum())
    usual = min(_usual_unmatched(w, first)) if first >= 6 else 0.0
    unmatched = float(w.unmatched[first:].sum())
    if due < 10 or seen > 0.05 * due or usual < 3 or unmatched > 0.2 * usual or s.changes or not s.services_seen:
        return []
    text = f"no conversion of any kind arrived ({seen:.0f} of {due:.0f} expected) while every route answers"
    return [_piece("feed_silent", Verdict.PLATFORM_DATA_LATE, 5.0, text, observed=seen, expected=due)]


def _log_poisson(count: float, mean: float) -> float:
    mean = max(mean, 1e-9)
    return float(count * np.log(mean) - mean - gammaln(count + 1))
