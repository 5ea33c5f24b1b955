"""Figures of an incident: conversions against the expected, in total and by campaign, with limits that hold at every look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.incidents import AffectedCampaign, Verdict
from core.metric_catalogue import value
from correlator.detection.confidence import ratio_limits
from correlator.explanation.cost import cell_costs, scaled, spend
from correlator.explanation.window import Window

Mask = npt.NDArray[np.bool_]

#: No sale is lost: orders go on and only their record is lost or late, or visitors were added who never meant to buy.
NO_SALE_LOST = frozenset({Verdict.TRACKING_BROKEN, Verdict.PLATFORM_DATA_LATE, Verdict.TRAFFIC_CHANGED})
#: A campaign with less than this share of the clicks in scope is there by accident of matching.
LEAST_PART = 0.005


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

    def shown(self) -> dict[str, Any]:
        """The fields that the incident's payload has of them."""
        return {
            "expected": round(self.expected, 2),
            "observed": self.observed,
            "clicks": round(self.clicks, 1),
            "baseline_rate": self.baseline_rate,
            "rate": self.rate,
            "rate_low": self.rate_low,
            "rate_high": self.rate_high,
        }

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


def keep_campaign_rates(
    campaigns: Sequence[AffectedCampaign], told: Sequence[AffectedCampaign]
) -> list[AffectedCampaign]:
    """Each campaign's highest spend per hour so far, as `cost.keep_rates` does for the whole."""
    before = {(c.campaign, c.currency): c.exposed_per_hour_micros for c in told}
    return [
        msgspec.structs.replace(
            c,
            exposed_per_hour_micros=max(c.exposed_per_hour_micros, before.get((c.campaign, c.currency), 0)),
            wasted_per_hour_micros=scaled(
                c.wasted_per_hour_micros, c.exposed_per_hour_micros, before.get((c.campaign, c.currency), 0)
            ),
        )
        for c in campaigns
    ]


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
        wasted_per_hour_micros=round(hourly * figures.lost_share) if loses else 0,
        currency=facts.currency if facts is not None else "",
    )


def _break_even(window: Window, name: str) -> float | None:
    """The stated break-even rate, else by the metric catalogue; None when the margin is unknown."""
    facts = window.campaigns.get(name)
    if facts is None:
        return None
    if facts.break_even_rate > 0:
        return facts.break_even_rate
    price = facts.cpc_micros if facts.cpc_micros > 0 else None
    return value("break_even_rate", click_price=price, margin_per_conversion=max(facts.margin_micros, 0))


def losing_cells(window: Window, inside: Mask, campaigns: Sequence[AffectedCampaign], *, verdict: Verdict) -> Mask:
    """Cells of the campaigns that lose sales; all in scope where none does, so that the apparent drop is still told."""
    if verdict in NO_SALE_LOST or not any(c.loses_sales for c in campaigns):
        return inside
    names = {c.campaign for c in campaigns if c.loses_sales}
    mask: Mask = inside & np.asarray([cell.campaign in names for cell in window.cells], dtype=np.bool_)
    return mask


def _share(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))
