"""The queries that reports are made of: everything they bind, and each other in each other's slots."""

from __future__ import annotations

from typing import Any, Final

from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig, days_ms
from correlator.dimensions import dimension
from correlator.exchange import rate_params
from correlator.matching import match_params, matches_of
from correlator.period import Question


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
        "customer_types": config.customer_types(),
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
    if question.matched_in:
        return queries.compose("match_named", {"matches": question.matched_in})
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


#: Queries whose figures are told by a dimension -> which rows of theirs have its value.
_TOLD_BY: Final = {
    "traffic_from_click": "hit",
    "cost_from_spend": "spend",
    "told_from_spend": "spend",
    "outcome_from_match": "match",
    "cohort_from_match": "match",
    "customer_from_match": "match",
}


def _told_by(name: str, question: Question, parts: dict[str, str]) -> dict[str, str]:
    """The slots of a query that say by what its figures are told."""
    if name not in _TOLD_BY:
        return {}
    value, lookup = dimension(question.by).read_from(_TOLD_BY[name])
    if not lookup:
        return {"value": value, "lookup": ""}
    return {"value": value, "lookup": queries.compose(lookup, {slot: parts[slot] for slot in queries.slots(lookup)})}


def read_report(store: Store, name: str, params: dict[str, object], *, question: Question) -> list[dict[str, Any]]:
    """Run one of the report queries with its standard slots filled."""
    parts = _parts_of(question, reporting=params["reporting"])
    parts |= _told_by(name, question, parts)
    sql = queries.compose(name, {slot: parts[slot] for slot in queries.slots(name)})
    return queries.read(store, sql, params)
