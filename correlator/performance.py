"""What a campaign brought in a period: traffic, cost and outcome read apart and laid side by side, per campaign and bucket.

Live and settled figures are different columns and never mixed. A rate whose window is open is blank (None), not zero. Amounts are in
the reporting currency, converted at the rate of the day they happened; without one, in the currency of the campaign's spend. What cannot
be converted stands beside the figure, by currency, and is never added to it; returns are then blank.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec

from core import metric_catalogue
from core.store.client import Store
from correlator import queries
from correlator.config import ConversionType, CorrelatorConfig, days_ms
from correlator.exchange import Exchange, exchange_for, in_one_currency, rate_params
from correlator.intervals import Interval, around
from correlator.matching import match_params, matches_of
from correlator.period import Question

Key = tuple[str, int]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Spend so far. `modelled` = our clicks after `reported_through` x trailing cost per click, until the platform reports them.

    `other_currencies_micros` is spend that is in none of the sums, because no rate leads from its currency to `currency`.
    """

    currency: str
    spend_micros: int
    reported_micros: int
    modelled_micros: int
    basis: str  # platform, modelled, both, "" = no spend known and none to model
    cost_per_click_micros: int
    reported_through_ms: int
    other_currencies_micros: dict[str, int]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Conversions by the catalogue: value so far, of which believed, and margin where known."""

    conversions: int
    by_type: dict[str, int]
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


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign in one bucket [since, since + bucket). Campaign "" holds what could not be attributed."""

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
    #: Clicks old enough to have converted, those of them that did, and the rate with its Wilson interval; None while too young.
    mature_clicks: int
    converted_clicks: int
    conversion_rate: Interval | None
    #: Clicks still maturing, the value expected of them beyond what they brought already, with its interval.
    maturing_clicks: int
    expected_micros: int | None
    expected_low_micros: int | None
    expected_high_micros: int | None
    restated_at_ms: int


class _Parts(msgspec.Struct, kw_only=True):
    """Rows of the five queries by (campaign, bucket); `types` and `costs` hold several per key."""

    traffic: dict[Key, dict[str, Any]]
    costs: dict[Key, list[dict[str, Any]]]
    types: dict[Key, list[dict[str, Any]]]
    cohorts: dict[Key, dict[str, Any]]
    campaigns: dict[str, dict[str, Any]]
    reported: dict[str, int]
    exchange: Exchange


def measure(store: Store, config: CorrelatorConfig, question: Question) -> list[Performance]:
    """Every campaign and bucket of the period in which anything happened, by campaign and time."""
    parts = _read(store, config, question)
    keys = sorted({*parts.traffic, *parts.costs, *parts.types, *parts.cohorts})
    return [_performance(key, parts, config=config, question=question) for key in keys]


def report_params(config: CorrelatorConfig, question: Question) -> dict[str, object]:
    """Everything that the report queries bind."""
    entries = [entry for _, entry in sorted(config.catalogue.items())]
    rest = config.unlisted
    return {
        **match_params(config, as_of=question.known_by),
        **question.params(),
        "origins": [entry.authoritative_origin for entry in entries],
        "default_origin": rest.authoritative_origin,
        "value_sources": [entry.value_source for entry in entries],
        "default_value_source": rest.value_source,
        "default_values": [entry.default_value_micros for entry in entries],
        "default_value": rest.default_value_micros,
        "beliefs": [entry.confidence for entry in entries],
        "default_belief": rest.confidence,
        "margin_rates": [entry.margin_rate or 0.0 for entry in entries],
        "default_margin_rate": rest.margin_rate or 0.0,
        "return_windows_ms": [days_ms(entry.return_window_days) for entry in entries],
        "return_window_ms": days_ms(rest.return_window_days),
        "default_currency": config.default_currency,
        **rate_params(config, question),
        "steering": config.steering_types(),
        "mature_before": question.at - config.maturity_ms,
        "late_ms": config.late_ms,
    }


def matches(question: Question) -> str:
    """The query for the period's matches: as the last tick left them, or computed anew as known at the as-of time."""
    if question.as_of is None:
        return queries.compose("match_named", {"matches": queries.text("match_kept")})
    return queries.compose("match_named", {"matches": matches_of(queries.text("conversion_in_period"))})


def _parts_of(question: Question, *, reporting: object) -> dict[str, str]:
    """The queries that others are made of, each with its own slots filled."""
    parts = {
        "visible": queries.text("visible"),
        "visible_campaign": queries.text("visible_campaign"),
        "reported": queries.text("reported_from_spend"),
        "spread": queries.text("spread"),
        "factor": queries.text("factor_of_period" if reporting else "no_factor"),
        "matches": matches(question),
    }
    slots = {slot: parts[slot] for slot in queries.slots("worth_of_match")}
    return {**parts, "worth": queries.compose("worth_of_match", slots)}


def read_report(store: Store, name: str, params: dict[str, object], *, question: Question) -> list[dict[str, Any]]:
    """Run one of the report queries with its standard slots filled."""
    parts = _parts_of(question, reporting=params["reporting"])
    sql = queries.compose(name, {slot: parts[slot] for slot in queries.slots(name)})
    return queries.read(store, sql, params)


def _read(store: Store, config: CorrelatorConfig, question: Question) -> _Parts:
    params = report_params(config, question)

    def rows(name: str) -> list[dict[str, Any]]:
        return read_report(store, name, params, question=question)

    campaigns = rows("campaign_facts")
    day = min(question.at, question.until - 1)
    return _Parts(
        traffic={_key(row): row for row in rows("traffic_from_click")},
        costs=_grouped(rows("cost_from_spend")),
        types=_grouped(rows("outcome_from_match")),
        cohorts={_key(row): row for row in rows("cohort_from_match")},
        campaigns={str(row["campaign"]): row for row in campaigns},
        reported={str(row["campaign"]): _ms(row["reported_through"]) for row in rows("reported_from_spend")},
        exchange=exchange_for(campaigns, store, config, at=day, as_of=question.known_by),
    )


def _performance(key: Key, parts: _Parts, *, config: CorrelatorConfig, question: Question) -> Performance:
    campaign, bucket = key
    facts = parts.campaigns.get(campaign, {})
    traffic = parts.traffic.get(key, {})
    types = parts.types.get(key, [])
    costs = parts.costs.get(key, [])
    until = min(bucket + question.bucket_ms, question.until)
    cost = _cost(
        costs,
        traffic=traffic,
        facts=facts,
        config=config,
        reported=parts.reported.get(campaign, 0),
        exchange=parts.exchange,
    )
    outcome = _outcome(types, currency=cost.currency, config=config)
    cohort = parts.cohorts.get(key, {})
    clicks, mature = int(traffic.get("clicks", 0)), int(traffic.get("mature_clicks", 0))
    # A bucket that reaches into the time of clicks still maturing has no rate of its own; a whole period has one over its older part.
    open_bucket = bool(question.grain_ms) and until > question.at - config.maturity_ms
    rate = None if open_bucket else conversion_rate(int(cohort.get("converted_mature", 0)), mature)
    expected = _expected(rate, clicks - mature, cohort=cohort, outcome=outcome)
    return Performance(
        campaign=campaign,
        name=str(facts.get("name", "")),
        platform=str(facts.get("platform") or traffic.get("platform") or campaign.partition(":")[0]),
        client=str(facts.get("client") or traffic.get("client") or (types[0]["owner_client"] if types else "")),
        since_ms=bucket,
        until_ms=until,
        hits=int(traffic.get("hits", 0)),
        clicks=clicks,
        lost_hits=int(traffic.get("lost_hits", 0)),
        bot_clicks=int(traffic.get("bot_clicks", 0)),
        cost=cost,
        outcome=outcome,
        settled=_settled(types, until=until, currency=cost.currency, config=config, question=question),
        mature_clicks=mature,
        converted_clicks=int(cohort.get("converted_mature", 0)),
        conversion_rate=rate,
        maturing_clicks=clicks - mature,
        expected_micros=expected[0],
        expected_low_micros=expected[1],
        expected_high_micros=expected[2],
        restated_at_ms=_restated_at(traffic, costs, types),
    )


def _cost(
    rows: list[dict[str, Any]],
    *,
    traffic: dict[str, Any],
    facts: dict[str, Any],
    config: CorrelatorConfig,
    reported: int,
    exchange: Exchange,
) -> Cost:
    paid_in = str((rows[0]["currency"] if rows else "") or facts.get("currency") or "")
    currency = config.reporting_currency or paid_in or config.default_currency
    own, others = _apart(rows, "cost_micros", currency=currency)
    unreported = int(traffic.get("unreported_clicks", 0))
    per_click, told_in = _per_click(facts, exchange, currency=currency)
    modelled = unreported * per_click if told_in == currency else 0
    if told_in != currency and unreported * per_click:
        others[told_in] = others.get(told_in, 0) + unreported * per_click
    basis = "both" if rows and modelled else "platform" if rows else "modelled" if modelled else ""
    return Cost(
        currency=currency,
        spend_micros=own + modelled,
        reported_micros=own,
        modelled_micros=modelled,
        basis=basis,
        cost_per_click_micros=per_click if told_in == currency else 0,
        reported_through_ms=reported,
        other_currencies_micros=others,
    )


def _per_click(facts: dict[str, Any], exchange: Exchange, *, currency: str) -> tuple[int, str]:
    """Cost per click and its currency: the one asked for, when a rate leads there."""
    if not facts:
        return 0, currency
    told = in_one_currency(facts, exchange, reporting=currency)
    return told.cost_per_click_micros or 0, told.currency or currency


def _apart(rows: list[dict[str, Any]], column: str, *, currency: str) -> tuple[int, dict[str, int]]:
    """The sum in `currency`, and the sums in others, which are never added to it."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[str(row["currency"])] += int(row[column])
    own = sums.pop(currency, 0)
    return own, {other: amount for other, amount in sums.items() if amount}


def _outcome(rows: list[dict[str, Any]], *, currency: str, config: CorrelatorConfig) -> Outcome:
    by_type: dict[str, int] = defaultdict(int)
    for row in rows:
        by_type[str(row["type"])] += int(row["conversions"])
    value, others = _apart(rows, "worth_micros", currency=currency)
    own = [row for row in rows if row["currency"] == currency]
    known = all(config.conversion_type(str(row["type"])).margin_rate is not None for row in own if row["worth_micros"])
    return Outcome(
        conversions=sum(by_type.values()),
        by_type={name: count for name, count in sorted(by_type.items()) if count},
        value_micros=value,
        believed_micros=_sum(own, "believed_micros"),
        margin_micros=_sum(own, "margin_micros") if known and own else None,
        duplicates=_sum(rows, "duplicates"),
        other_currencies_micros=others,
    )


def _settled(
    rows: list[dict[str, Any]], *, until: int, currency: str, config: CorrelatorConfig, question: Question
) -> Settled:
    own = [row for row in rows if row["currency"] == currency]
    # Counts have no currency: a lead without a value is a lead.
    confirmed, returned = _sum(rows, "settled_conversions"), _sum(rows, "settled_returned")
    windows = [_window_ms(config.conversion_type(str(row["type"]))) for row in rows]
    complete = until + max(windows, default=_window_ms(config.unlisted)) <= question.at
    return Settled(
        conversions=confirmed,
        value_micros=_sum(own, "settled_micros"),
        returned=returned,
        return_rate=_return_rate(confirmed, returned) if complete else None,
        open_windows=_sum(rows, "open_windows"),
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
    rate: Interval | None, maturing: int, *, cohort: dict[str, Any], outcome: Outcome
) -> tuple[int | None, int | None, int | None]:
    """Value that the maturing clicks will still bring: rate x clicks, less those that converted already, x mean value so far."""
    mean = metric_catalogue.value("value_per_conversion", value=outcome.value_micros, conversions=outcome.conversions)
    if rate is None or mean is None or outcome.other_currencies_micros:
        return None, None, None
    already = int(cohort.get("converted", 0)) - int(cohort.get("converted_mature", 0))
    estimate, low, high = (
        round(max(0.0, share * maturing - already) * mean) for share in (rate.rate, rate.low, rate.high)
    )
    return estimate, low, high


def _restated_at(traffic: dict[str, Any], costs: list[dict[str, Any]], types: list[dict[str, Any]]) -> int:
    late = [int(traffic.get("late_known_at", 0)), *(int(row["restated_at"]) for row in (*costs, *types))]
    return max(late)


def mixed(figures: Performance) -> bool:
    """True when part of the money is in a currency that no rate leads from: a return over the rest would be wrong."""
    return bool(figures.cost.other_currencies_micros or figures.outcome.other_currencies_micros)


def _window_ms(entry: ConversionType) -> int:
    return days_ms(entry.return_window_days)


def _sum(rows: list[dict[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _key(row: dict[str, Any]) -> Key:
    return str(row["campaign"]), int(row["bucket"])


def _grouped(rows: list[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[_key(row)].append(row)
    return dict(found)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
