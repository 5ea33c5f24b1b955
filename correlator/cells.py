"""The rows that figures are made of, by value of the dimension, bucket and campaign: read, and put where they belong.

Spend that a platform does not tell by the dimension stands under `NOT_TOLD`, and so does what is modelled in its place: a value's own
spend is then never half of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from core.store.client import Store
from correlator.campaign_rows import campaign_rows
from correlator.config import CorrelatorConfig
from correlator.dimensions import CAMPAIGN, CLIENT, NOT_TOLD, dimension
from correlator.exchange import Exchange, exchange_for, in_one_currency
from correlator.period import Question
from correlator.report_queries import named_where_needed, read_report, report_params
from correlator.side_by_side import side_by_side

Row = dict[str, Any]
#: Value of the dimension, bucket (ms), campaign.
Place = tuple[str, int, str]
#: Puts queries by name (`correlator.side_by_side`).
Together = Callable[[Iterable[str], Callable[[str], Any]], Mapping[str, Any]]
#: Part of a cell -> the query whose rows it is made of.
_PARTS: Final = {
    "traffic": "traffic_from_click",
    "costs": "cost_from_spend",
    "types": "outcome_from_match",
    "cohorts": "cohort_from_match",
    "customers": "customer_from_match",
}


class Cell(msgspec.Struct, kw_only=True):
    """What happened at one place. `unreported_clicks` are those whose cost is modelled here; `per_click` is micros and its currency."""

    campaign: str
    traffic: list[Row] = msgspec.field(default_factory=list)
    costs: list[Row] = msgspec.field(default_factory=list)
    types: list[Row] = msgspec.field(default_factory=list)
    cohorts: list[Row] = msgspec.field(default_factory=list)
    customers: list[Row] = msgspec.field(default_factory=list)
    unreported_clicks: int = 0
    per_click: tuple[int, str] = (0, "")

    @property
    def modelled_micros(self) -> int:
        """In the currency of `per_click`."""
        return self.unreported_clicks * self.per_click[0]

    @property
    def clicks(self) -> int:
        return total(self.traffic, "clicks")

    def spent(self) -> dict[str, int]:
        """Micros by currency, reported and modelled."""
        found: dict[str, int] = defaultdict(int)
        for row in self.costs:
            found[str(row["currency"])] += int(row["cost_micros"])
        if self.modelled_micros:
            found[self.per_click[1]] += self.modelled_micros
        return dict(found)


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """All places of a question. `told` = campaigns whose platform tells their spend by the dimension; `reported` = up to when (ms)."""

    cells: dict[Place, Cell]
    campaigns: dict[str, Row]
    reported: dict[str, int]
    told: frozenset[str]

    def rows(self) -> dict[tuple[str, int], list[Cell]]:
        """The cells of each value and bucket, in the order of both."""
        found: dict[tuple[str, int], list[Cell]] = defaultdict(list)
        for value, bucket, campaign in sorted(self.cells):
            found[value, bucket].append(self.cells[value, bucket, campaign])
        return dict(found)

    def untold(self) -> frozenset[str]:
        """Campaigns whose spend stands under `NOT_TOLD` as a whole: of their values nobody knows the cost."""
        untold = {cell.campaign for (value, _, _), cell in self.cells.items() if value == NOT_TOLD and cell.spent()}
        return frozenset(untold - self.told)


def read_cells(
    store: Store,
    config: CorrelatorConfig,
    question: Question,
    *,
    outcomes: bool = True,
    customers: bool = False,
    together: Together = side_by_side,
) -> Cells:
    """Every place where anything happened. `outcomes` and `customers` cost queries more, dear ones as of an earlier moment.

    Args:
        together: how the queries are put, `in_turn` from inside one of several that are put side by side.
    """
    by = dimension(question.by)
    wanted = ["traffic_from_click", "cost_from_spend", "reported_from_spend"]
    wanted += ["outcome_from_match", "cohort_from_match"] if outcomes else []
    wanted += ["customer_from_match"] if customers and config.customer_types() else []
    wanted += ["told_from_spend"] if by.spend and by not in (CAMPAIGN, CLIENT) else []
    # Last: asked in turn, somebody else may have asked it by then.
    wanted += ["campaign_facts"]
    rows = _rows(store, config, question, wanted, together=together)
    campaigns = {str(row["campaign"]): row for row in rows["campaign_facts"]}
    told = _told(question, rows.get("told_from_spend", []))
    placed = _Placing(question.by, campaigns, told)
    for part, name in _PARTS.items():
        placed.put(part, rows.get(name, []))
    day = min(question.at, question.until - 1)
    exchange = exchange_for(campaigns.values(), store, config, at=day, as_of=question.known_by)
    per_click = {name: _per_click(facts, exchange, config) for name, facts in campaigns.items()}
    placed.model(rows["traffic_from_click"], per_click)
    return Cells(
        cells=dict(placed.cells),
        campaigns=campaigns,
        reported={str(row["campaign"]): _ms(row["reported_through"]) for row in rows["reported_from_spend"]},
        told=frozenset(campaigns) if told is None else frozenset(told),
    )


def _rows(
    store: Store, config: CorrelatorConfig, question: Question, wanted: list[str], *, together: Together
) -> Mapping[str, list[Row]]:
    """The rows of each query. Two short ones go before the others, which are then planned without what is known already."""
    params = report_params(config, question)
    first: dict[str, Callable[[], Any]] = {"named": lambda: named_where_needed(store, question)}
    if question.campaign:
        first["reported"] = lambda: read_report(store, "reported_from_spend", params, question=question)
    found = together(first, lambda name: first[name]())
    asked: Question = found["named"]
    known: dict[str, list[Row]] = {}
    if question.campaign:
        known["reported_from_spend"] = found["reported"]
        params["reported_through"] = max((_ms(row["reported_through"]) for row in found["reported"]), default=0)

    def read(name: str) -> list[Row]:
        if name == "campaign_facts":
            return campaign_rows(store, asked)
        return read_report(store, name, params, question=asked)

    return {**known, **together([name for name in wanted if name not in known], read)}


class _Placing:
    """Puts rows where they belong. `told` None = every campaign's spend is told by the dimension."""

    def __init__(self, by: str, campaigns: dict[str, Row], told: set[str] | None) -> None:
        self.cells: defaultdict[Place, Cell] = defaultdict(lambda: Cell(campaign=""))
        self._by, self._campaigns, self._told = by, campaigns, told

    def put(self, part: str, rows: Iterable[Row]) -> None:
        for row in rows:
            value = self._value(row)
            if part == "costs" and self._told is not None:
                value = value or NOT_TOLD
            getattr(self._at(row, value), part).append(row)

    def model(self, traffic: Iterable[Row], per_click: dict[str, tuple[int, str]]) -> None:
        """Clicks that no platform has told the cost of yet, where their cost will be told."""
        for row in traffic:
            campaign, clicks = str(row["campaign"]), int(row["unreported_clicks"])
            if clicks and per_click.get(campaign, (0, ""))[0]:
                told = self._told is None or campaign in self._told
                self._at(row, self._value(row) if told else NOT_TOLD).unreported_clicks += clicks
        for cell in self.cells.values():
            cell.per_click = per_click.get(cell.campaign, (0, ""))

    def _at(self, row: Row, value: str) -> Cell:
        campaign = str(row["campaign"])
        cell = self.cells[value, int(row["bucket"]), campaign]
        cell.campaign = campaign
        return cell

    def _value(self, row: Row) -> str:
        campaign = str(row["campaign"])
        if self._by == CLIENT.name:
            own = "" if row["value"] == campaign else str(row["value"])
            return own or str(self._campaigns.get(campaign, {}).get("client", ""))
        return str(row["value"])


def _per_click(facts: Row, exchange: Exchange, config: CorrelatorConfig) -> tuple[int, str]:
    """Cost per click and its currency: the one asked for, when a rate leads there."""
    stated = in_one_currency(facts, exchange, reporting=config.reporting_currency)
    return stated.cost_per_click_micros or 0, stated.currency or config.default_currency


def _told(question: Question, rows: Iterable[Row]) -> set[str] | None:
    """Campaigns whose spend is told by the dimension; None = all, by what a campaign is."""
    if dimension(question.by) in (CAMPAIGN, CLIENT):
        return None
    return {str(row["campaign"]) for row in rows}


def total(rows: Iterable[Row], column: str) -> int:
    # A list, not a generator: a report asks this of thousands of cells with a row or two each.
    return sum([int(row[column]) for row in rows])


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
