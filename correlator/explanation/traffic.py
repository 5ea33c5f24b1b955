"""Evidence about who comes: more hits that buy nothing, robots that the filter names, clicks that moved to where fewer buy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.incidents import Evidence, Verdict
from correlator.explanation.service_health import rise_log_ratio
from correlator.explanation.situation import DISPERSION, ENOUGH, TRAFFIC_DISPERSION, Situation, log_poisson, piece
from correlator.explanation.window import Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Traffic that grows by less is no sign; so many standard errors have to lie between it and no growth.
LEAST_GROWTH = 1.2
GROWTH_SIGMAS = 2.0
#: A campaign's traffic strays this much from the others' within the hour (theory.md 4.1: sd .1 an hour, and the day's own curve).
TRAFFIC_SD = 0.15
#: Growth from which other verdicts are doubted as well.
STRONG_GROWTH = 1.8
#: The usual level is that of the last minute before the onset: further back the day (or a start of traffic) was another. Where that is
#: too few hits to know a level, up to ten minutes are taken.
LEVEL_MS = 60_000
LONGEST_LEVEL_MS = 10 * 60_000
HITS_OF_A_LEVEL = 400.0
LEVEL_ERRORS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
#: Hits of one cell in the minute before the onset that make its growth worth a look.
ENOUGH_OF_A_CELL = 5.0
#: Against robots speaks that there are no more hits.
STEADY_NATS = 1.0
#: The level of everything is known to a few per cent.
MIX_ERRORS = (0.9, 0.95, 1.0, 1.05)
#: Rise of the share of hits that the filter names robots.
LEAST_ROBOTS = 0.03
#: Fall of the expected conversion rate by a change in mix alone that is worth a word.
LEAST_SHIFT = 0.08


def traffic(s: Situation) -> list[Evidence]:
    """All that the hits say about who comes."""
    robots = _robots(s)
    return [*robots, *_growth(s, robots_rose=bool(robots)), *_mix(s)]


def _growth(s: Situation, *, robots_rose: bool) -> list[Evidence]:
    """More hits while the *number* of conversions stays: visitors who do not buy were added."""
    w, first = s.window, s.first
    hits = w.hits[s.inside].sum(0)
    lead = lead_of(w, hits, first)
    everywhere = min(max(_usual_growth(w.hits[~s.inside], first, lead), 1 / 3), 3.0)
    growth = growth_of(hits, first, lead) / everywhere
    if growth < LEAST_GROWTH or np.log(growth) < GROWTH_SIGMAS * _growth_error(hits, first, lead):
        # Robots would show; a change of mix or of audience need not.
        nats = -STEADY_NATS if hits[:first].sum() >= ENOUGH and not robots_rose else 0.0
        return [piece("traffic_steady", Verdict.TRAFFIC_CHANGED, nats, "no more hits than before", growth=growth)]
    # By click time, so that neither old clicks nor the young age of the new ones blur the comparison.
    due = float((w.expected_by_click[:, first:].sum(1) * s.level)[s.inside].sum())
    seen = float(w.observed_by_click[s.inside][:, first:].sum())
    unchanged = min(_due_of_usual_traffic(w, s, first, lead) * everywhere, due)
    # The usual level is known from a minute or a few: it may be some way off.
    as_before = max(log_poisson(seen, max(unchanged * off, 0.5)) for off in LEVEL_ERRORS) - np.log(len(LEVEL_ERRORS))
    # Against a loss of any size: a uniform prior over the kept share spreads its probability over 0 … due.
    nats = (as_before + np.log(max(due, 1.0))) / DISPERSION + np.log(growth)
    text = f"hits rose {growth:.1f} times, conversions did not ({seen:.0f}, {unchanged:.0f} at the usual traffic)"
    figures = {"growth": growth, "observed": seen, "unchanged": unchanged}
    found = [piece("traffic_rise", Verdict.TRAFFIC_CHANGED, nats, text, **figures)]
    if growth >= STRONG_GROWTH:
        found += [
            piece("traffic_rise", verdict, -min(max(nats, 0.0), 3.0), text)
            for verdict in (Verdict.SITE_FAILING, Verdict.SITE_SLOW, Verdict.DEMAND_CHANGED)
        ]
    return found


def _growth_error(hits: Array, first: int, lead: int) -> float:
    """Standard error of the log of a growth: bursts before and after, and how traffic strays anyway."""
    before, after = float(hits[max(0, first - 1 - lead) : max(1, first - 1)].sum()), float(hits[first:].sum())
    return float(np.sqrt(TRAFFIC_DISPERSION / (before + 1) + TRAFFIC_DISPERSION / (after + 1) + TRAFFIC_SD**2))


def _robots(s: Situation) -> list[Evidence]:
    """The filter names more of the hits robots than before; it never names all of them."""
    w, first = s.window, s.first
    named = w.robots[s.inside].sum(0)
    hits = w.hits[s.inside].sum(0)
    before, after = named[:first].sum() / max(hits[:first].sum(), 1.0), named[first:].sum() / max(hits[first:].sum(), 1)
    nats = rise_log_ratio(named[:first].sum(), hits[:first].sum(), named[first:].sum(), hits[first:].sum()) / 2
    if after - before < LEAST_ROBOTS or nats < 2.0:
        return []
    text = f"{after:.0%} of the hits in scope were robots or repeats, {before:.1%} before"
    return [piece("robots", Verdict.TRAFFIC_CHANGED, nats, text, before=float(before), after=float(after))]


def _mix(s: Situation) -> list[Evidence]:
    """Clicks moved between cells that convert differently, while every cell converts as before (Simpson)."""
    w, first = s.window, s.first
    before, after = w.clicks[:, :first].sum(1), w.clicks[:, first:].sum(1)
    if min(before.sum(), after.sum()) < ENOUGH:
        return []
    usual, now = (float((part * w.rates).sum() / part.sum()) for part in (before, after))
    if now > usual * (1 - LEAST_SHIFT):
        return []
    # The cells convert as before, against a loss of any size (uniform over the kept share).
    due, seen = float((w.expected[:, first:].sum(1) * s.level).sum()), float(w.observed[:, first:].sum())
    flat = max(log_poisson(seen, max(due * off, 0.5)) for off in MIX_ERRORS) - np.log(len(MIX_ERRORS))
    flat = (flat + np.log(max(due, 1.0))) / DISPERSION
    text = (
        f"clicks moved to where fewer buy: {now:.2%} are expected to, {usual:.2%} before; "
        f"the cells themselves brought {seen:.0f} of {due:.0f}"
    )
    figures = {"before": usual, "after": now, "observed": seen, "expected": due}
    return [piece("mix_shift", Verdict.TRAFFIC_CHANGED, flat + 2.0, text, **figures)]


def _due_of_usual_traffic(w: Window, s: Situation, first: int, lead: int) -> float:
    """Conversions by now of clicks since the onset, had the scope kept the clicks of the minutes before, with *their* mix of cells.

    What was added may sit in cells that convert better or worse, and come and go within minutes: dividing all that is due by the
    growth of the clicks would count the usual visitors at the rate and the age of the added ones.
    """
    worth = w.clicks * (w.rates * s.level)[:, None]
    before = worth[s.inside][:, max(0, first - 1 - lead) : max(1, first - 1)].sum(0).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        # Share that converted by now, and the season.
        arrived = np.nan_to_num((w.expected_by_click * s.level[:, None]).sum(0) / worth.sum(0))
    return float(before * arrived[first:].sum())


def _usual_growth(counts: Array, first: int, lead: int) -> float:
    """Growth of the middle cell outside the scope, by traffic: what was added may reach into some of them."""
    before = counts[:, max(0, first - 1 - lead) : max(1, first - 1)]
    busy = before.sum(1) >= ENOUGH_OF_A_CELL
    if not busy.any():
        return growth_of(counts.sum(0), first, lead)
    growth = np.asarray([growth_of(row, first, lead) for row in counts[busy]])
    order = np.argsort(growth)
    weight = np.cumsum(before[busy].sum(1)[order])
    return float(growth[order][np.searchsorted(weight, weight[-1] / 2)])


def hits_a_second(w: Window, inside: Mask, first: int) -> tuple[float, float]:
    """Hits of the scope in the minute before the onset and since."""
    hits, lead = w.hits[inside].sum(0), lead_of(w)
    before, after = hits[max(0, first - 1 - lead) : max(1, first - 1)], hits[first:]
    seconds = w.bucket_ms / 1000
    return float(before.mean()) / seconds, float(after.mean() if after.size else 0.0) / seconds


def lead_of(w: Window, hits: Array | None = None, first: int = 0) -> int:
    """Buckets before an onset that a level is taken from: a minute, or as many as hold enough hits."""
    lead, longest = max(1, LEVEL_MS // w.bucket_ms), max(1, LONGEST_LEVEL_MS // w.bucket_ms)
    while (
        hits is not None
        and lead < min(longest, first - 1)
        and hits[first - 1 - lead : first - 1].sum() < HITS_OF_A_LEVEL
    ):
        lead += 1
    return lead


def growth_of(counts: Array, first: int, lead: int) -> float:
    """Mean since the onset / mean of the `lead` buckets before it; the one just before may already hold some of the change."""
    before = counts[max(0, first - 1 - lead) : max(1, first - 1)]
    if before.size == 0 or counts[first:].size == 0:
        return 1.0
    return float((counts[first:].mean() + 0.05) / (before.mean() + 0.05))
