"""Evidence about the orders: do they come without their click, do they come at all, and whose are missing?"""

from __future__ import annotations

import numpy as np

from core.incidents import Evidence, Verdict
from correlator.explanation.situation import DISPERSION, Situation, log_poisson, piece
from correlator.explanation.window import Window

#: Orders of clicks older than the window lose their click as well, or are late as well: so many times the missing ones may turn up.
TURNED_UP = (1.0, 1.5, 2.5)
#: Orders without a click that make their number worth a look.
ENOUGH_UNMATCHED = 8.0
#: Nats of missing conversions from which it is asked who is missing.
MISSING_NATS = 3.0
#: What the pattern of who buys less says, in nats; judged on development seeds (docs/detection.md).
PATTERN_NATS = 5.0
AGES_NATS = 3.0
#: A scope is one campaign's matter only when another campaign on its pages goes on as before.
LEAST_OTHERS = 5.0
#: Part of what is due that may be missing because its level is only an estimate.
LEVEL_ERROR = 0.05


def unmatched(s: Situation) -> list[Evidence]:
    """Do conversions without a click rise by what matched ones fall? Then sales go on and only their trace is lost."""
    w, first = s.window, s.first
    missing = s.due - s.seen
    if missing < 3 or first < 6:
        return []
    seen = float(w.unmatched[first:].sum())
    usual = _usual_unmatched(w, first)
    as_lost = max(log_poisson(seen, u * kept) for u in usual for kept in (1.0, 0.5, 0.1))
    as_untracked = max(log_poisson(seen, u + missing * times) for u in usual for times in TURNED_UP)
    nats = (as_untracked - as_lost) / DISPERSION
    figures = {"unmatched": seen, "usual": usual[0], "missing": missing}
    if nats <= 0:
        text = f"{seen:.0f} orders came without a click, usually {usual[0]:.0f}: too few for the {missing:.0f} that are missing"
        return [piece("unmatched_conversions", Verdict.TRACKING_BROKEN, nats, text, **figures)]
    text = f"{seen:.0f} orders came without a click, usually {usual[0]:.0f}: about the {missing:.0f} that are missing"
    others = (
        Verdict.SITE_FAILING,
        Verdict.SITE_SLOW,
        Verdict.REDIRECT_FAILING,
        Verdict.TRAFFIC_CHANGED,
        Verdict.DEMAND_CHANGED,
        Verdict.PLATFORM_DATA_LATE,
    )
    return [
        piece("unmatched_conversions", Verdict.TRACKING_BROKEN, nats, text, **figures),
        *(piece("unmatched_conversions", verdict, -min(nats, 4.0), text) for verdict in others),
    ]


def organic_orders(s: Situation) -> list[Evidence]:
    """Orders that no click leads to, by as much fewer as those with one: a late feed tells of neither. Where they go on, it is not late."""
    w, first = s.window, s.first
    usual = min(_usual_unmatched(w, first)) if first >= 6 else 0.0
    due, seen = s.due, s.seen
    if usual < ENOUGH_UNMATCHED or due < ENOUGH_UNMATCHED or seen >= due:
        return []
    came, kept = float(w.unmatched[first:].sum()), max(seen / due, 0.02)
    nats = (log_poisson(came, usual * kept) - log_poisson(came, usual)) / DISPERSION
    figures = {"unmatched": came, "usual": usual, "observed": seen, "expected": due}
    told = f"{came:.0f} orders came without a click, usually {usual:.0f}"
    if nats <= 0:
        text = f"{told}: not fewer, as they would be if the data were late"
        return [piece("organic_orders_go_on", Verdict.PLATFORM_DATA_LATE, nats, text, **figures)]
    text = f"{told}, and {seen:.0f} with one, usually {due:.0f}: both are missing alike"
    return [
        piece("organic_orders_missing", Verdict.PLATFORM_DATA_LATE, nats, text, **figures),
        # Nobody's campaign or audience keeps those away who click on nothing.
        piece("organic_orders_missing", Verdict.TRAFFIC_CHANGED, -min(nats, 3.0), text),
        piece("organic_orders_missing", Verdict.TRACKING_BROKEN, -min(nats, 3.0), text),
    ]


def who_buys_less(s: Situation) -> list[Evidence]:
    """Fewer orders while redirect and services are well: one campaign's audience, one page's offer, or everybody's demand."""
    due, seen = s.due * (1 - LEVEL_ERROR), s.seen
    gain = (log_poisson(seen, max(seen, 1e-9)) - log_poisson(seen, due)) / DISPERSION if seen < due else 0.0
    if gain < MISSING_NATS or s.changes or not s.services_seen:
        return []
    w, outside = s.window, ~s.inside
    campaigns = {cell.campaign for cell, chosen in zip(w.cells, s.inside, strict=True) if chosen}
    pages = {cell.page for cell, chosen in zip(w.cells, s.inside, strict=True) if chosen}
    others = float((w.expected[:, s.first :].sum(1) * s.level)[outside].sum())
    told = f"{seen:.0f} of {s.due:.0f} orders came while every route answers"
    figures = {"observed": seen, "expected": s.due}
    if len(campaigns) == 1 and others >= LEAST_OTHERS:
        came = float(w.observed[outside][:, s.first :].sum())
        text = f"{told}, all missing from one campaign; the others brought {came:.0f} of {others:.0f}"
        return [piece("one_campaign", Verdict.TRAFFIC_CHANGED, PATTERN_NATS + 1.0, text, **figures)]
    if outside.any():
        where = "on one page" if len(pages) == 1 else f"on {len(pages)} pages of {len(campaigns)} campaigns"
        return [piece("fewer_buy", Verdict.DEMAND_CHANGED, PATTERN_NATS, f"{told}, missing {where}", **figures)]
    # Everywhere at once: demand keeps new clicks from buying, a late feed hides the orders of old ones as well.
    ages = float(np.clip(s.onset.arrival_against_cohort, -AGES_NATS, AGES_NATS))
    which = "of old and new clicks alike" if ages > 0 else "of new clicks, those of old ones came"
    text = f"{told}, missing everywhere, {which} ({abs(s.onset.arrival_against_cohort):.1f} nats)"
    return [
        piece("fewer_buy_everywhere", Verdict.DEMAND_CHANGED, PATTERN_NATS - ages, text, **figures),
        piece("fewer_buy_everywhere", Verdict.PLATFORM_DATA_LATE, PATTERN_NATS - 1.0 + ages, text, **figures),
    ]


def everything_stopped(s: Situation) -> list[Evidence]:
    """No conversion of any kind although the services are well: the feed is late, not the customers."""
    w, first = s.window, s.first
    due, seen = float(w.expected[:, first:].sum()), float(w.observed[:, first:].sum())
    usual = min(_usual_unmatched(w, first)) if first >= 6 else 0.0
    came = float(w.unmatched[first:].sum())
    if due < 10 or seen > 0.05 * due or usual < 3 or came > 0.2 * usual or s.changes or not s.services_seen:
        return []
    text = f"no conversion of any kind arrived ({seen:.0f} of {due:.0f} expected) while every route answers"
    return [piece("feed_silent", Verdict.PLATFORM_DATA_LATE, 5.0, text, observed=seen, expected=due)]


def _usual_unmatched(w: Window, first: int) -> list[float]:
    """Expected number without a click since the onset: by time, and by how much more traffic there is."""
    before, after = float(w.unmatched[:first].sum()) + 0.5, w.clicks.shape[1] - first
    by_time = before * after / first
    expected = w.expected.sum(0)
    by_traffic = before * float(expected[first:].sum()) / max(float(expected[:first].sum()), 1e-9)
    return [by_time, by_traffic] if by_traffic > 0 else [by_time]
