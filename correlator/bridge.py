"""Why a cost per lead that was shown live is another one now: the way from one to the other, cause by cause, exact to the micro.

Live is what `clicktrace roi` said as of a moment: spend so far over leads so far. Now is what the business really paid for each lead that stands:
spend as told since, configured costs with it, without leads that were counted twice, rejected or came back. The causes are taken one
after the other, in the order of `CAUSES`; each one's effect is the difference that it makes then, so that the effects sum to the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

import msgspec

from core.metric_catalogue import amount
from core.store.client import Store
from correlator.business import borne, charges
from correlator.cells import Cells, read_cells
from correlator.config import CorrelatorConfig
from correlator.performance import Cost, cost_of
from correlator.period import Question
from correlator.report_queries import read_report, report_params

Cause = Literal[
    "spend_restated",  # the platform told its cost since, or told it otherwise
    "learned_later",  # leads of the period that were not known or not counted then
    "elsewhere",  # leads that belong to another campaign or period by now
    "counted_twice",  # leads that turned out to be duplicates
    "rejected",
    "returns_pending",  # leads that came back since, or had and were counted all the same
    "missing_cost",  # a category of configured costs that the live figure leaves out
]
CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)
#: What a lead that live counted is now -> why it does not stand.
_LOST: Final[dict[str, Cause]] = {"duplicate": "counted_twice", "rejected": "rejected", "returned": "returns_pending"}
#: Live counts a lead that came back, as it was brought and paid for.
_COUNTED_LIVE: Final = ("counted", "returned")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: the leads or the amount that it adds (or takes away), and what that does to the cost of one lead."""

    cause: Cause
    category: str = ""
    leads: int = 0
    amount_micros: int = 0
    effect_micros: int | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A cost per lead with what it is made of. `at_ms` = as of when."""

    at_ms: int
    spend_micros: int
    costs_micros: int
    leads: int
    cost_per_lead_micros: int | None


class Bridge(msgspec.Struct, frozen=True, kw_only=True):
    """`pending_leads` may still come back. Amounts in `currency`; what no rate leads there is in none of them."""

    type: str
    currency: str
    live: Figure
    now: Figure
    steps: list[Step]
    pending_leads: int
    other_currencies_micros: dict[str, int]


class Lead(msgspec.Struct, frozen=True):
    state: str
    pending: bool


def bridge(store: Store, config: CorrelatorConfig, live: Question, now: Question, *, type_: str = "lead") -> Bridge:
    """From `live` to `now`: one period, seen at two moments.

    Reads the cost of both moments, and every single conversion of the type in the period twice.
    """
    then = read_cells(store, config, live, outcomes=False)
    found = read_cells(store, config, now, outcomes=bool(config.costs))
    then_cost, now_cost = (_cost(cells, config) for cells in (then, found))
    costs = borne(charges(store, config, now, found=found), currency=now_cost.currency)
    then_leads, now_leads = (_leads(store, config, question, type_=type_) for question in (live, now))
    # Spend of another currency is in neither figure.
    then_spend = then_cost.spend_micros if then_cost.currency == now_cost.currency else 0
    steps = worked_out(
        spend=(then_spend, now_cost.spend_micros),
        leads=(then_leads, now_leads),
        costs=costs.by_category_micros,
    )
    counted, standing = (
        sum(_counts(lead, live=at) for lead in leads.values()) for leads, at in ((then_leads, True), (now_leads, False))
    )
    return Bridge(
        type=type_,
        currency=now_cost.currency,
        live=_figure(live.at, then_spend, 0, counted),
        now=_figure(now.at, now_cost.spend_micros, costs.costs_micros, standing),
        steps=steps,
        pending_leads=sum(lead.pending for lead in now_leads.values()),
        other_currencies_micros={**now_cost.other_currencies_micros, **costs.other_currencies_micros},
    )


def worked_out(
    *, spend: tuple[int, int], leads: tuple[Mapping[str, Lead], Mapping[str, Lead]], costs: Mapping[str, int]
) -> list[Step]:
    """The causes that there are, each with its effect; before and after in pairs, `costs` by category."""
    before, after = leads
    paid, count = spend[0], sum(_counts(lead, live=True) for lead in before.values())
    changes = [
        Step(cause="spend_restated", amount_micros=spend[1] - spend[0]),
        *(Step(cause=cause, leads=number) for cause, number in _moves(before, after)),
        *(Step(cause="missing_cost", category=name, amount_micros=micros) for name, micros in sorted(costs.items())),
    ]
    told: list[Step] = []
    for change in changes:
        if not change.leads and not change.amount_micros:
            continue
        was = _per_lead(paid, count)
        paid, count = paid + change.amount_micros, count + change.leads
        told.append(msgspec.structs.replace(change, effect_micros=_difference(was, _per_lead(paid, count))))
    return told


def _moves(before: Mapping[str, Lead], after: Mapping[str, Lead]) -> list[tuple[Cause, int]]:
    """Leads gained (+) and lost (-) by cause, in the order of the causes."""
    moved: Counter[Cause] = Counter()
    for fact_id in {*before, *after}:
        was, is_ = before.get(fact_id), after.get(fact_id)
        counted = was is not None and _counts(was, live=True)
        stands = is_ is not None and _counts(is_, live=False)
        if stands and not counted:
            moved["learned_later"] += 1
        elif counted and not stands:
            moved["elsewhere" if is_ is None else _LOST[is_.state]] -= 1
    return [(cause, moved[cause]) for cause in CAUSES if moved[cause]]


def _counts(lead: Lead, *, live: bool) -> bool:
    return lead.state in _COUNTED_LIVE if live else lead.state == "counted"


def _leads(store: Store, config: CorrelatorConfig, question: Question, *, type_: str) -> dict[str, Lead]:
    params = {**report_params(config, question), "type": type_}
    rows: Iterable[dict[str, object]] = read_report(store, "state_of_match", params, question=question)
    return {str(row["fact_id"]): Lead(str(row["state"]), bool(row["pending"])) for row in rows}


def _cost(found: Cells, config: CorrelatorConfig) -> Cost:
    return cost_of(list(found.cells.values()), found=found, config=config, told=True)


def _figure(at: int, spend: int, costs: int, leads: int) -> Figure:
    return Figure(
        at_ms=at,
        spend_micros=spend,
        costs_micros=costs,
        leads=leads,
        cost_per_lead_micros=_per_lead(spend + costs, leads),
    )


def _per_lead(paid: int, leads: int) -> int | None:
    return amount("business_cost_per_lead", spend=paid, business_costs=0, leads=leads)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
