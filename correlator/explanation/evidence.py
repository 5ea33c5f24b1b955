"""Gathers the evidence for a verdict from the facts around an onset. Every piece carries the numbers it rests on.

A piece speaks for a verdict with positive nats and against it with negative ones; what was looked at and found healthy counts too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.incidents import Evidence, Verdict
from core.metric_catalogue import value
from correlator.explanation.orders import everything_stopped, organic_orders, unmatched, who_buys_less
from correlator.explanation.service_health import proof_log_ratio, rise_log_ratio
from correlator.explanation.situation import ENOUGH, SHARE_DISPERSION, Situation, piece
from correlator.explanation.traffic import growth_of, lead_of, traffic
from correlator.explanation.verdict import CAP

Array = npt.NDArray[np.float64]

#: A share that rises by less than this is no sign.
LEAST_RISE = 0.05
#: Failed or slow traces of paid clicks: so many times their usual share, and nats that a scope chosen for them takes with it.
LEAST_TIMES = 1.5
CHOSEN_NATS = 3.0


def gather(situation: Situation) -> list[Evidence]:
    """All evidence, strongest first."""
    traces = _traces(situation)
    accused = {each.verdict for each in traces}
    pieces = [
        # Routes that serve more than the scope may look healthy while its own traces fail.
        *(each for each in _routes(situation) if each.name != "routes_healthy" or each.verdict not in accused),
        *traces,
        *_lost_hits(situation),
        *unmatched(situation),
        *traffic(situation),
        *_proofs(situation),
        *_browser_errors(situation),
        *_silent_tags(situation),
        *everything_stopped(situation),
        *organic_orders(situation),
        *([] if accused else who_buys_less(situation)),
    ]
    # What is beyond the cap is equally strong: then the order above decides, causes before consequences.
    return sorted(pieces, key=lambda each: -min(abs(each.log_likelihood), CAP))


def _routes(s: Situation) -> list[Evidence]:
    """Errors and delays of routes, or their absence."""
    errors = next((c for c in s.changes if c.kind == "errors"), None)
    slow = next((c for c in s.changes if c.kind == "slow"), None)
    found: list[Evidence] = []
    if errors is not None:
        text = f"{errors.name} fails for {errors.after:.0%} of requests, {errors.before:.1%} before"
        found.append(
            piece(
                "route_errors", Verdict.SITE_FAILING, errors.log_ratio, text, before=errors.before, after=errors.after
            )
        )
        found.append(piece("route_errors", Verdict.TRACKING_BROKEN, -min(errors.log_ratio, 3.0), text))
    if slow is not None:
        text = (
            f"{slow.after:.0%} of requests to {slow.name} take longer than {slow.bound_s:g} s, {slow.before:.1%} before"
        )
        figures = {"before": slow.before, "after": slow.after, "bound_s": slow.bound_s}
        # What fails slowly is failing: delays speak for "slow" only as far as errors do not explain them.
        nats = min(slow.log_ratio, 6.0) - (min(errors.log_ratio, 6.0) if errors is not None else 0.0)
        found.append(piece("route_delays", Verdict.SITE_SLOW, nats, text, **figures))
    if errors is None and s.services_seen:
        text = "no route of any service fails more than before"
        found.append(piece("routes_healthy", Verdict.SITE_FAILING, -3.0, text))
    if slow is None and s.services_seen:
        found.append(piece("routes_healthy", Verdict.SITE_SLOW, -3.0, "no route of any service is slower than before"))
    return found


def _traces(s: Situation) -> list[Evidence]:
    """Paid clicks in scope whose own trace fails or waits more often than before; routes alone cannot tell a page from its neighbours."""
    w, first = s.window, s.first
    trials = w.traced[s.inside].sum(0)
    before, after = float(trials[:first].sum()), float(trials[first:].sum())
    found = []
    for kind, bad, verdict, words in (
        ("errors", w.failed, Verdict.SITE_FAILING, "fail"),
        ("slow", w.slow, Verdict.SITE_SLOW, "wait"),
    ):
        hits = bad[s.inside].sum(0)
        usual, share = hits[:first].sum() / max(before, 1.0), hits[first:].sum() / max(after, 1.0)
        nats = rise_log_ratio(hits[:first].sum(), before, hits[first:].sum(), after) / SHARE_DISPERSION - CHOSEN_NATS
        if nats <= 0 or share < LEAST_TIMES * usual:
            continue
        text = f"{share:.1%} of the traces of paid clicks in scope {words}, {usual:.1%} before"
        found.append(piece(f"traces_{kind}", verdict, nats, text, before=float(usual), after=float(share)))
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
            piece("redirect_healthy", Verdict.REDIRECT_FAILING, healthy, "the redirect answers as usual", lost=share)
        ]
    text = f"{share:.0%} of the hits in scope were not answered by a redirect, {before:.1%} before"
    through = after - w.lost_parallel[s.inside][:, first:].sum()
    # Under parallel tracking the buyer arrives all the same: only the record of the click is lost (design §7.6).
    verdict = Verdict.REDIRECT_FAILING if through > 0 else Verdict.TRACKING_BROKEN
    figures = {"before": float(before), "after": float(share), "through_redirect": float(through)}
    return [
        piece("lost_hits", verdict, nats, text, **figures),
        piece("lost_hits", Verdict.SITE_FAILING, -min(nats, 2.0), text),
    ]


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
        found.append(piece(f"click_proof_{kind}", verdict, nats, text, bad=bad, good=good))
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
        found.append(piece(name, verdict, min(nats, 4.0), text, before=float(before), after=float(share)))
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
    if growth_of(clicked, first, lead_of(w)) > 0.6:
        return []  # as many reports as before: there are only more clicks that make none
    text = f"browsers report {after:.2f} events per click, {before:.2f} before, while every route answers"
    return [piece("silent_tags", Verdict.TRACKING_BROKEN, 4.0, text, before=float(before), after=float(after))]
