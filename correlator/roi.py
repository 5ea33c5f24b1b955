"""Return on spend in two layers that are never mixed: live (so far, partly modelled) and settled (confirmed, after returns).

Where money of several currencies cannot be brought to one, there is no return: the figures beside it say which currency lacks a rate.
"""

from __future__ import annotations

import msgspec

from core.metric_catalogue import amount, value
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.performance import Performance, measure, mixed
from correlator.period import Question


class LiveReturn(msgspec.Struct, frozen=True, kw_only=True):
    """Catalogue value of the conversions so far against the spend so far. `with_expected` adds what maturing clicks should bring."""

    roi: float | None
    roas: float | None
    roas_with_expected: float | None
    cost_per_conversion_micros: int | None
    cost_per_type_micros: dict[str, int]
    cost_per_lead_micros: int | None


class SettledReturn(msgspec.Struct, frozen=True, kw_only=True):
    """Confirmed value after returns against what the platform charged; blank until the period's windows are closed and its cost told."""

    roi: float | None
    roas: float | None
    cost_per_conversion_micros: int | None


class RoiRow(msgspec.Struct, frozen=True, kw_only=True):
    campaign: str
    figures: Performance
    live: LiveReturn
    settled: SettledReturn


def roi(store: Store, config: CorrelatorConfig, question: Question) -> list[RoiRow]:
    """One row per campaign (and bucket, when a grain is asked for), by campaign and time."""
    return [row_of(figures) for figures in measure(store, config, question)]


def row_of(figures: Performance) -> RoiRow:
    return RoiRow(campaign=figures.campaign, figures=figures, live=_live(figures), settled=_settled(figures))


def _live(figures: Performance) -> LiveReturn:
    spend, worth = figures.cost.spend_micros, figures.outcome.value_micros
    # Nothing sold yet by clicks that still may: that is no return of -100 %.
    told = (bool(figures.outcome.conversions) or not figures.maturing_clicks) and not mixed(figures)
    # Costs per piece over a part of the spend would be too low, and of no spend they are not known.
    paid = None if figures.cost.other_currencies_micros else spend or None
    per_type = {
        name: cost
        for name, count in figures.outcome.by_type.items()
        if (cost := amount("cost_per_type", spend=paid, conversions_of_type=count)) is not None
    }
    return LiveReturn(
        roi=value("roi", value=worth, spend=spend) if told else None,
        roas=value("roas", value=worth, spend=spend) if told else None,
        roas_with_expected=value("roas_with_expected", value=worth, expected_value=figures.expected_micros, spend=paid),
        cost_per_conversion_micros=amount("cost_per_conversion", spend=paid, conversions=figures.outcome.conversions),
        cost_per_type_micros=per_type,
        cost_per_lead_micros=amount("cost_per_lead", spend=paid, leads=figures.outcome.by_type.get("lead", 0)),
    )


def _settled(figures: Performance) -> SettledReturn:
    charged, settled = figures.cost.reported_micros, figures.settled
    if not settled.complete or figures.cost.modelled_micros or mixed(figures):
        return SettledReturn(roi=None, roas=None, cost_per_conversion_micros=None)
    return SettledReturn(
        roi=value("settled_roi", settled_value=settled.value_micros, charged=charged),
        roas=value("settled_roas", settled_value=settled.value_micros, charged=charged),
        cost_per_conversion_micros=amount(
            "settled_cost_per_conversion", charged=charged or None, settled_conversions=settled.conversions
        ),
    )
