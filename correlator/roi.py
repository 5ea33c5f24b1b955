"""Return on spend in two layers that are never mixed: live (so far, partly modelled) and settled (confirmed, after returns).

Each is told as the channel's (what the platforms charge) and as the business's (configured costs with it, `correlator.business`). Where money of
several currencies cannot be brought to one, there is no return: the figures beside it say which currency lacks a rate. And where nobody
said what the conversions are worth, there is none either: a lead without an invoice is not worth nothing.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from core.metric_catalogue import amount, value
from core.store.client import Store
from correlator.apportioned import Apportioned, apportioned_spend
from correlator.break_even import BreakEven, break_even
from correlator.business import Borne, Charge, borne, charges
from correlator.cells import Cell, read_cells
from correlator.config import CorrelatorConfig
from correlator.performance import Performance, mixed, performances
from correlator.period import Question


class LiveReturn(msgspec.Struct, frozen=True, kw_only=True):
    """Catalogue value of the conversions so far against the spend so far. `with_expected` adds what maturing clicks should bring.

    Cost per new customer has a lower limit: it is that if everybody was new of whom nobody knows who it was. `contribution` = margin
    less spend. Everything is blank where the spend is not told by the dimension.
    """

    roi: float | None
    roas: float | None
    roas_with_expected: float | None
    cost_per_conversion_micros: int | None
    cost_per_type_micros: dict[str, int]
    cost_per_lead_micros: int | None
    cost_per_qualified_lead_micros: int | None
    cost_per_new_customer_micros: int | None
    cost_per_new_customer_low_micros: int | None
    contribution_micros: int | None


class SettledReturn(msgspec.Struct, frozen=True, kw_only=True):
    """Confirmed value after returns against what the platform charged; blank until the period's windows are closed and its cost told."""

    roi: float | None
    roas: float | None
    cost_per_conversion_micros: int | None


class BusinessReturn(msgspec.Struct, frozen=True, kw_only=True):
    """What is left with the configured costs beside the spend: live with the spend so far, settled with what the platforms charged."""

    costs_micros: int
    costs_by_category_micros: dict[str, int]
    other_currencies_micros: dict[str, int]
    spend_and_costs_micros: int | None
    roi: float | None
    roas: float | None
    cost_per_conversion_micros: int | None
    cost_per_lead_micros: int | None
    profit_micros: int | None
    settled_roi: float | None
    settled_roas: float | None


class RoiRow(msgspec.Struct, frozen=True, kw_only=True):
    """`business` is None without configured costs, and in buckets shorter than an hour. `apportioned`: `correlator.apportioned`."""

    campaign: str
    figures: Performance
    live: LiveReturn
    settled: SettledReturn
    break_even: BreakEven
    business: BusinessReturn | None
    apportioned: Apportioned | None


def roi(store: Store, config: CorrelatorConfig, question: Question, *, whole: bool = True) -> list[RoiRow]:
    """One row per value of the dimension (and bucket, when a grain is asked for), by value and time.

    `whole` adds customers and the business's layer, which cost some queries more.
    """
    found = read_cells(store, config, question, customers=whole)
    borne_by: dict[tuple[str, int], list[Charge]] = defaultdict(list)
    for charge in charges(store, config, question, found=found) if whole else ():
        place, bucket, campaign = charge.place
        borne_by[place, bucket].append(charge)
        found.cells.setdefault(charge.place, Cell(campaign=campaign))
    told = bool(config.costs) and whole and question.long_buckets
    shared = apportioned_spend(found)
    return [
        row_of(
            figures,
            business=borne(borne_by.get(key, ()), currency=figures.cost.currency) if told else None,
            apportioned=shared.get((*key, figures.cost.currency), 0) if shared else None,
        )
        for figures in performances(found, config, question)
        for key in [(figures.value, figures.since_ms)]
    ]


def row_of(figures: Performance, *, business: Borne | None = None, apportioned: int | None = None) -> RoiRow:
    return RoiRow(
        campaign=figures.campaign,
        figures=figures,
        live=_live(figures),
        settled=_settled(figures),
        break_even=break_even(figures, spend=_paid(figures)),
        business=None if business is None else _business(figures, business),
        apportioned=None if apportioned is None else _apportioned(figures, apportioned),
    )


def _paid(figures: Performance) -> int | None:
    """The spend that costs per piece may rest on: over a part of it they would be too low, and of no spend they are not known."""
    known = figures.cost.told and not figures.cost.other_currencies_micros
    return figures.cost.spend_micros or None if known else None


def _worth(figures: Performance) -> int | None:
    """The value that a return may rest on; None = not told.

    Nothing sold yet by clicks that still may, or sold to people whose invoices nobody sent: that is no return of -100 %.
    """
    outcome = figures.outcome
    waiting = not outcome.conversions and figures.maturing_clicks
    unpriced = not outcome.value_micros and outcome.unvalued_by_type
    return None if waiting or unpriced or mixed(figures) else outcome.value_micros


def _live(figures: Performance) -> LiveReturn:
    outcome, customers = figures.outcome, figures.customers
    paid, worth = _paid(figures), _worth(figures)
    per_type = {
        name: cost
        for name, count in outcome.by_type.items()
        if (cost := amount("cost_per_type", spend=paid, conversions_of_type=count)) is not None
    }
    with_expected = value("roas_with_expected", value=worth, expected_value=figures.expected_micros, spend=paid)
    return LiveReturn(
        roi=value("roi", value=worth, spend=paid),
        roas=value("roas", value=worth, spend=paid),
        roas_with_expected=with_expected,
        cost_per_conversion_micros=amount("cost_per_conversion", spend=paid, conversions=outcome.conversions),
        cost_per_type_micros=per_type,
        cost_per_lead_micros=amount("cost_per_lead", spend=paid, leads=outcome.by_type.get("lead", 0)),
        cost_per_qualified_lead_micros=amount(
            "cost_per_qualified_lead", spend=paid, qualified_leads=outcome.qualified_by_type.get("lead", 0)
        ),
        cost_per_new_customer_micros=amount("cost_per_new_customer", spend=paid, new_customers=customers.new),
        cost_per_new_customer_low_micros=amount(
            "cost_per_new_customer", spend=paid, new_customers=customers.new + customers.unknown
        ),
        contribution_micros=amount("contribution", margin=_margin(figures), spend=paid),
    )


def _margin(figures: Performance) -> int | None:
    return None if _worth(figures) is None else figures.outcome.margin_micros


def _settled(figures: Performance) -> SettledReturn:
    charged, worth = _charged(figures), _settled_worth(figures)
    return SettledReturn(
        roi=value("settled_roi", settled_value=worth, charged=charged),
        roas=value("settled_roas", settled_value=worth, charged=charged),
        cost_per_conversion_micros=amount(
            "settled_cost_per_conversion", charged=charged or None, settled_conversions=figures.settled.conversions
        ),
    )


def _charged(figures: Performance) -> int | None:
    """What the platforms charged, once all of it is told and every window of the period is closed."""
    whole = figures.settled.complete and not figures.cost.modelled_micros and not mixed(figures) and figures.cost.told
    return figures.cost.reported_micros if whole else None


def _settled_worth(figures: Performance) -> int | None:
    """Confirmed value; None where conversions stayed and nobody said the worth of one."""
    settled = figures.settled
    unpriced = settled.conversions and not settled.value_micros and figures.outcome.unvalued_by_type
    return None if unpriced else settled.value_micros


def _business(figures: Performance, costs: Borne) -> BusinessReturn:
    known = not costs.other_currencies_micros
    borne_micros = costs.costs_micros if known else None
    # Costs are known even where there was no spend: a quiet day has its rent.
    spend = figures.cost.spend_micros if figures.cost.told and not figures.cost.other_currencies_micros else None
    outcome, charged = figures.outcome, _charged(figures)
    paid = {"spend": spend, "business_costs": borne_micros}
    settled = {"settled_value": _settled_worth(figures), "charged": charged, "business_costs": borne_micros}
    both = amount("spend_and_costs", **paid)
    pieces = paid if both else {"spend": None, "business_costs": None}
    return BusinessReturn(
        costs_micros=costs.costs_micros,
        costs_by_category_micros=costs.by_category_micros,
        other_currencies_micros=costs.other_currencies_micros,
        spend_and_costs_micros=both,
        roi=value("business_roi", value=_worth(figures), **paid),
        roas=value("business_roas", value=_worth(figures), **paid),
        cost_per_conversion_micros=amount("business_cost_per_conversion", conversions=outcome.conversions, **pieces),
        cost_per_lead_micros=amount("business_cost_per_lead", leads=outcome.by_type.get("lead", 0), **pieces),
        profit_micros=amount("profit", margin=_margin(figures), **paid),
        settled_roi=value("settled_business_roi", **settled),
        settled_roas=value("settled_business_roas", **settled),
    )


def _apportioned(figures: Performance, share: int) -> Apportioned:
    """Modelled: with this row's part, by clicks, of the spend that the platforms do not tell by the dimension."""
    known = not figures.cost.other_currencies_micros
    spend, worth = figures.cost.spend_micros + share, _worth(figures)
    paid = spend or None if known else None
    return Apportioned(
        spend_micros=spend,
        roi=value("roi", value=worth, spend=paid),
        roas=value("roas", value=worth, spend=paid),
        cost_per_conversion_micros=amount("cost_per_conversion", spend=paid, conversions=figures.outcome.conversions),
        cost_per_lead_micros=amount("cost_per_lead", spend=paid, leads=figures.outcome.by_type.get("lead", 0)),
    )
