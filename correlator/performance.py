"""What a campaign (or device, page, …) brought in a period: traffic, cost and outcome laid side by side, per bucket.

Live and settled figures are different columns and never mixed. A rate whose window is open is blank (None), not zero. Amounts are in
the reporting currency, converted at the rate of the day they happened; without one, in the currency of the campaign's spend. What cannot
be converted stands beside the figure, by currency, and is never added to it; returns are then blank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import msgspec

from core import metric_catalogue
from core.store.client import Store
from correlator.cells import Cell, Cells, Row, read_cells, total
from correlator.config import ConversionType, CorrelatorConfig, days_ms
from correlator.dimensions import CAMPAIGN, NOT_TOLD
from correlator.intervals import Interval, around
from correlator.period import Question


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Spend so far. `modelled` = our clicks after `reported_through` x trailing cost per click, until the platform reports them.

    `told` = the platforms tell what this row's campaigns cost by the dimension; where they do not, the cost is not known, whatever stands here.
    `other_currencies_micros` is spend that is in none of the sums, because no rate leads from its currency to `currency`.
    """

    currency: str
    spend_micros: int
    reported_micros: int
    modelled_micros: int
    basis: str  # platform, modelled, both, "" = no spend known and none to model
    cost_per_click_micros: int
    reported_through_ms: int
    told: bool
    other_currencies_micros: dict[str, int]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions by the catalogue: value so far, of which believed, and margin where known.

    `unvalued_by_type`: those that nobody said the worth of, neither their record nor the catalogue; what came back is not among them.
    """

    conversions: int
    by_type: dict[str, int]
    qualified_by_type: dict[str, int]
    unvalued_by_type: dict[str, int]
    value_micros: int
    believed_micros: int
    margin_micros: int | None
    duplicates: int
    other_currencies_micros: dict[str, int]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Confirmed and past the return window; the value is that in the figure's currency. `complete` when every window of the period is closed; until then the return rate is blank."""

    conversions: int
    value_micros: int
    returned: int
    return_rate: float | None
    open_windows: int
    complete: bool


class Customers(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions that make customers: the first of a person, later ones, and those that do not say who it was. All 0 unless asked for."""

    new: int
    known: int
    unknown: int


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the dimension `by` in one bucket [since, since + bucket). By campaign, "" holds what could not be attributed.

    Campaign, platform and client are those of the row's campaigns, "" where these differ; `name` is the campaign's, in figures by campaign.
    """

    by: str
    value: str
    campaign: str
    name: str
    platform: str
    client: str
    since_ms: int
    until_ms: int
    hits: int
    clicks: int
    lost_hits: int
    bot_clicks: int
    cost: Cost
    outcome: Outcome
    settled: Settled
    customers: Customers
    #: Clicks old enough to have converted, those of them that did, and the rate with its Wilson interval; None while too young.
    mature_clicks: int
    converted_clicks: int
    conversion_rate: Interval | None
    #: Clicks still maturing, the value expected of them beyond what they brought already, with its interval.
    maturing_clicks: int
    expected_micros: int | None
    expected_low_micros: int | None
    expected_high_micros: int | None
    #: As a person said it of the campaign; None where nobody did, or in another currency.
    margin_per_conversion_micros: int | None
    restated_at_ms: int


def measure(
    store: Store, config: CorrelatorConfig, question: Question, *, customers: bool = False
) -> list[Performance]:
    """Every value of the dimension and bucket of the period in which anything happened, by value and time."""
    return performances(read_cells(store, config, question, customers=customers), config, question)


def performances(found: Cells, config: CorrelatorConfig, question: Question) -> list[Performance]:
    """The figures of each value and bucket, over the campaigns in it."""
    row = partial(_performance, found=found, untold=found.untold(), config=config, question=question)
    return [row(value, bucket, cells) for (value, bucket), cells in found.rows().items()]


def _performance(
    value: str,
    bucket: int,
    cells: list[Cell],
    *,
    found: Cells,
    untold: frozenset[str],
    config: CorrelatorConfig,
    question: Question,
) -> Performance:
    traffic, costs, types, cohorts = (
        [row for cell in cells for row in getattr(cell, part)] for part in ("traffic", "costs", "types", "cohorts")
    )
    until = min(bucket + question.bucket_ms, question.until)
    told = value == NOT_TOLD or not any(cell.campaign in untold for cell in cells)
    cost = cost_of(cells, found=found, config=config, told=told)
    outcome = _outcome(types, currency=cost.currency, config=config)
    clicks, mature = total(traffic, "clicks"), total(traffic, "mature_clicks")
    converted_mature = total(cohorts, "converted_mature")
    # A bucket that reaches into the time of clicks still maturing has no rate of its own; a whole period has one over its older part.
    open_bucket = bool(question.grain_ms) and until > question.at - config.maturity_ms
    rate = None if open_bucket else conversion_rate(converted_mature, mature)
    expected = _expected(rate, clicks - mature, already=total(cohorts, "converted") - converted_mature, outcome=outcome)
    facts = found.campaigns.get(cells[0].campaign, {}) if len(cells) == 1 else {}
    return Performance(
        by=question.by,
        value=value,
        campaign=_only(cell.campaign for cell in cells),
        name=str(facts.get("name", "")) if question.by == CAMPAIGN.name else "",
        platform=_only(_platform(cell, found.campaigns) for cell in cells),
        client=_only(_client(cell, found.campaigns) for cell in cells),
        since_ms=bucket,
        until_ms=until,
        hits=total(traffic, "hits"),
        clicks=clicks,
        lost_hits=total(traffic, "lost_hits"),
        bot_clicks=total(traffic, "bot_clicks"),
        cost=cost,
        outcome=outcome,
        settled=_settled(types, until=until, currency=cost.currency, config=config, question=question),
        customers=_customers([row for cell in cells for row in cell.customers]),
        mature_clicks=mature,
        converted_clicks=converted_mature,
        conversion_rate=rate,
        maturing_clicks=clicks - mature,
        expected_micros=expected[0],
        expected_low_micros=expected[1],
        expected_high_micros=expected[2],
        margin_per_conversion_micros=_stated_margin(facts, cost.currency),
        restated_at_ms=_restated_at(traffic, costs, types),
    )


def cost_of(cells: list[Cell], *, found: Cells, config: CorrelatorConfig, told: bool) -> Cost:
    """What these cells cost together."""
    currency = _currency(cells, found.campaigns, config)
    own, others = _apart([row for cell in cells for row in cell.costs], "cost_micros", currency=currency)
    modelled = sum(cell.modelled_micros for cell in cells if cell.per_click[1] == currency)
    for cell in cells:
        if cell.per_click[1] != currency and cell.modelled_micros:
            others[cell.per_click[1]] = others.get(cell.per_click[1], 0) + cell.modelled_micros
    rows = any(cell.costs for cell in cells)
    only = cells[0].per_click if len(cells) == 1 else (0, "")
    return Cost(
        currency=currency,
        spend_micros=own + modelled,
        reported_micros=own,
        modelled_micros=modelled,
        basis="both" if rows and modelled else "platform" if rows else "modelled" if modelled else "",
        cost_per_click_micros=only[0] if only[1] == currency else 0,
        reported_through_ms=min(filter(None, (found.reported.get(cell.campaign, 0) for cell in cells)), default=0),
        told=told,
        other_currencies_micros=others,
    )


def _currency(cells: list[Cell], campaigns: dict[str, Row], config: CorrelatorConfig) -> str:
    """The one that a row is told in: what its spend was charged in, where nothing else was asked for."""
    charged = sorted({str(row["currency"]) for cell in cells for row in cell.costs} - {""})
    stated = sorted({str(campaigns[cell.campaign]["currency"]) for cell in cells if cell.campaign in campaigns} - {""})
    return config.reporting_currency or next(iter([*charged, *stated]), config.default_currency)


def _only(names: Iterable[str]) -> str:
    """What all of them are called; "" when they differ."""
    distinct = set(names)
    return distinct.pop() if len(distinct) == 1 else ""


def _platform(cell: Cell, campaigns: dict[str, Row]) -> str:
    said = campaigns.get(cell.campaign, {}).get("platform")
    return str(said or next((row["platform"] for row in cell.traffic), "") or cell.campaign.partition(":")[0])


def _client(cell: Cell, campaigns: dict[str, Row]) -> str:
    said = campaigns.get(cell.campaign, {}).get("client") or next((row["client"] for row in cell.traffic), "")
    return str(said or next((row["owner_client"] for row in cell.types), ""))


def _customers(rows: list[Row]) -> Customers:
    return Customers(
        new=total(rows, "new_customers"),
        known=total(rows, "known_customers"),
        unknown=total(rows, "unknown_customers"),
    )


def _stated_margin(facts: Row, currency: str) -> int | None:
    """Margin per conversion as a person said it, where it is in the row's currency."""
    stated_in = str(facts.get("stated_in") or facts.get("currency") or "")
    return int(facts.get("margin_micros", 0)) or None if stated_in == currency else None


def _apart(rows: list[Row], column: str, *, currency: str) -> tuple[int, dict[str, int]]:
    """The sum in `currency`, and the sums in others, which are never added to it."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[str(row["currency"])] += int(row[column])
    own = sums.pop(currency, 0)
    return own, {other: amount for other, amount in sums.items() if amount}


def _by_type(rows: list[Row], column: str) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[str(row["type"])] += int(row[column])
    return {name: count for name, count in sorted(counts.items()) if count}


def _outcome(rows: list[Row], *, currency: str, config: CorrelatorConfig) -> Outcome:
    by_type = _by_type(rows, "conversions")
    value, others = _apart(rows, "worth_micros", currency=currency)
    own = [row for row in rows if row["currency"] == currency]
    known = all(config.conversion_type(str(row["type"])).margin_rate is not None for row in own if row["worth_micros"])
    return Outcome(
        conversions=sum(by_type.values()),
        by_type=by_type,
        qualified_by_type=_by_type(rows, "qualified"),
        unvalued_by_type=_by_type(rows, "unvalued"),
        value_micros=value,
        believed_micros=total(own, "believed_micros"),
        margin_micros=total(own, "margin_micros") if known and own else None,
        duplicates=total(rows, "duplicates"),
        other_currencies_micros=others,
    )


def _settled(rows: list[Row], *, until: int, currency: str, config: CorrelatorConfig, question: Question) -> Settled:
    own = [row for row in rows if row["currency"] == currency]
    # Counts have no currency: a lead without a value is a lead.
    confirmed, returned = total(rows, "settled_conversions"), total(rows, "settled_returned")
    windows = [_window_ms(config.conversion_type(str(row["type"]))) for row in rows]
    complete = until + max(windows, default=_window_ms(config.unlisted)) <= question.at
    return Settled(
        conversions=confirmed,
        value_micros=total(own, "settled_micros"),
        returned=returned,
        return_rate=_return_rate(confirmed, returned) if complete else None,
        open_windows=total(rows, "open_windows"),
        complete=complete,
    )


def conversion_rate(converted: int, mature: int) -> Interval | None:
    """The rate with its interval; None without clicks that had their chance."""
    # A click's conversions count once, yet clocks may put one before its click's period.
    converted = min(converted, mature)
    return around(metric_catalogue.value("conversion_rate", converted_clicks=converted, mature_clicks=mature), mature)


def _return_rate(confirmed: int, returned: int) -> float | None:
    return metric_catalogue.value("return_rate", settled_conversions=confirmed, returned_conversions=returned)


def _expected(
    rate: Interval | None, maturing: int, *, already: int, outcome: Outcome
) -> tuple[int | None, int | None, int | None]:
    """Value that the maturing clicks will still bring: rate x clicks, less those that converted already, x mean value so far."""
    mean = metric_catalogue.value("value_per_conversion", value=outcome.value_micros, conversions=outcome.conversions)
    if rate is None or mean is None or outcome.other_currencies_micros:
        return None, None, None
    estimate, low, high = (
        round(max(0.0, share * maturing - already) * mean) for share in (rate.rate, rate.low, rate.high)
    )
    return estimate, low, high


def _restated_at(traffic: list[Row], costs: list[Row], types: list[Row]) -> int:
    late = [int(row["late_known_at"]) for row in traffic]
    return max([0, *late, *(int(row["restated_at"]) for row in (*costs, *types))])


def mixed(figures: Performance) -> bool:
    """True when part of the money is in a currency that no rate leads from: a return over the rest would be wrong."""
    return bool(figures.cost.other_currencies_micros or figures.outcome.other_currencies_micros)


def _window_ms(entry: ConversionType) -> int:
    return days_ms(entry.return_window_days)
