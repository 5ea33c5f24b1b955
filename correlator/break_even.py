"""From which conversion rate on, and up to which cost per conversion, a row earns what it costs."""

from __future__ import annotations

from typing import Literal

import msgspec

from core.metric_catalogue import amount, value
from correlator.performance import Performance

#: observed = the margin of the row's own conversions; stated = a person said it of the campaign; "" = nobody knows one.
Basis = Literal["observed", "stated", ""]


class BreakEven(msgspec.Struct, frozen=True, kw_only=True):
    """The cost per conversion at which nothing is left is the margin of one.

    `pays`: the rate's whole interval lies above (True) or below (False) the break-even rate; None = nobody can tell yet.
    """

    basis: Basis
    rate: float | None
    cost_per_conversion_micros: int | None
    pays: bool | None


def break_even(figures: Performance, *, spend: int | None) -> BreakEven:
    """The limits of a row; `spend` (micros) = None where what it costs is not known."""
    outcome = figures.outcome
    # Without any worth the margin of 0 says nothing, and a part in another currency is missing in it.
    known = outcome.margin_micros if outcome.value_micros and not outcome.other_currencies_micros else None
    observed = amount("margin_per_conversion", margin=known, conversions=outcome.conversions)
    margin = figures.margin_per_conversion_micros if observed is None else observed
    price = amount("cost_per_click", spend=spend, clicks=figures.clicks)
    rate = value("break_even_rate", click_price=price, margin_per_conversion=margin)
    return BreakEven(
        basis="observed" if observed is not None else "stated" if margin is not None else "",
        rate=rate,
        cost_per_conversion_micros=margin,
        pays=_pays(figures, rate),
    )


def _pays(figures: Performance, limit: float | None) -> bool | None:
    seen = figures.conversion_rate
    if seen is None or limit is None:
        return None
    return True if seen.low > limit else False if seen.high < limit else None
