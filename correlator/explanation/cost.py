"""What it costs: exposed spend (all spend in the scope) and wasted spend (exposed x lost share), per hour and so far (design §7.7).

Spend is modelled as clicks x cost per click, because platforms report hours late: the trailing cost per click of each campaign's
reported spend, else the one a person stated.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import numpy.typing as npt

from core.clock import HOUR_MS, MINUTE_MS
from core.incidents import Cost
from correlator.explanation.window import Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: The rate per hour is that of this long before the onset or of the time since, whichever is higher: a pause must not make the fault
#: look cheap, nor a flood look like the day before.
RATE_LEAD_MS = MINUTE_MS


def cell_costs(window: Window) -> Array:
    """Cost per click of every cell in micros; 0 where nothing is known."""
    return np.asarray(
        [facts.cpc_micros if (facts := window.campaigns.get(cell.campaign)) else 0 for cell in window.cells],
        dtype=np.float64,
    )


def main_currency(window: Window, inside: Mask) -> str:
    """The currency most of the clicks in scope are paid in; campaigns in another one are left out of the sums."""
    counted: Counter[str] = Counter()
    for row in np.flatnonzero(inside):
        facts = window.campaigns.get(window.cells[row].campaign)
        if facts is not None and facts.currency:
            counted[facts.currency] += int(window.hits[row].sum()) + 1
    return counted.most_common(1)[0][0] if counted else ""


def spend(window: Window, inside: Mask, *, first: int) -> tuple[float, float]:
    """(spent since the onset's bucket, spent per hour), both in micros of the main currency, for the cells in `inside`."""
    currency = main_currency(window, inside)
    paid = np.asarray(
        [(f := window.campaigns.get(c.campaign)) is not None and f.currency == currency for c in window.cells],
        dtype=np.bool_,
    )
    spent = (window.hits * cell_costs(window)[:, None])[inside & paid].sum(0)
    per_hour = HOUR_MS / window.bucket_ms
    lead = spent[max(0, first - RATE_LEAD_MS // window.bucket_ms) : first]
    rates = [float(part.mean()) * per_hour for part in (lead, spent[first:]) if part.size]
    return float(spent[first:].sum()), max(rates, default=0.0)


def cost_of(window: Window, inside: Mask, *, first: int, lost: tuple[float, float, float], missing: float) -> Cost:
    """The two figures with their interval.

    Args:
        window: the facts.
        inside: cells that pay for the fault.
        first: the onset's bucket.
        lost: (low, estimate, high) of the lost share.
        missing: conversions lost so far, for the margin.
    """
    exposed, hourly = spend(window, inside, first=first)
    low, share, high = lost
    return Cost(
        currency=main_currency(window, inside),
        exposed_micros=round(exposed),
        wasted_micros=round(exposed * share),
        exposed_per_hour_micros=round(hourly),
        wasted_per_hour_micros=round(hourly * share),
        wasted_per_hour_low_micros=round(hourly * low),
        wasted_per_hour_high_micros=round(hourly * high),
        lost_margin_micros=_lost_margin(window, inside, missing=missing),
    )


def keep_rates(cost: Cost, told: Cost) -> Cost:
    """The highest spend per hour so far: a pause empties the scope of clicks, but what was at stake stays the figure to tell."""
    if told.currency != cost.currency:
        # A rate came or went meanwhile: amounts of two currencies have no larger one.
        return cost
    hourly, before = cost.exposed_per_hour_micros, told.exposed_per_hour_micros
    return msgspec.structs.replace(
        cost,
        exposed_per_hour_micros=max(hourly, before),
        wasted_per_hour_micros=scaled(cost.wasted_per_hour_micros, hourly, before),
        wasted_per_hour_low_micros=scaled(cost.wasted_per_hour_low_micros, hourly, before),
        wasted_per_hour_high_micros=scaled(cost.wasted_per_hour_high_micros, hourly, before),
    )


def scaled(part: int, whole: int, told: int) -> int:
    """`part` of `whole` as the same part of a larger `told`."""
    return round(part * max(told / whole, 1.0)) if whole > 0 else part


def _lost_margin(window: Window, inside: Mask, *, missing: float) -> int | None:
    """Missing conversions x mean margin, weighted by what each campaign was expected to sell; None when a margin is unknown.

    A margin in another currency than the spend is unknown, too: amounts are never added across currencies.
    """
    due = window.expected[inside].sum(1)
    currency = main_currency(window, inside)
    facts = [window.campaigns.get(window.cells[row].campaign) for row in np.flatnonzero(inside)]
    margins = [f.margin_micros if f is not None and f.currency == currency else 0 for f in facts]
    if not margins or not all(margins) or due.sum() <= 0:
        return None
    return round(max(missing, 0.0) * float(np.average(margins, weights=np.maximum(due, 1e-9))))
