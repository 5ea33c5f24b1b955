"""The queries that reports are made of: everything they bind, and each other in each other's slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

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
    found = queries.text("match_kept") if question.as_of is None else question.matched_in
    found = found or matches_of(queries.text("conversion_in_period"))
    return queries.compose("match_named", {"matches": found}) if question.to_name else found


def visible_to(question: Question) -> dict[str, str]:
    """The conditions for what the question may see. Where it may see every client, none is looked up."""
    names = ("visible", "visible_campaign")
    return {name: queries.text(name if question.clients else "of_campaign") for name in names}


def named_where_needed(store: Store, question: Question) -> Question:
    """The question, without looking up names that no platform has for any click. One cheap question spares dear ones their planning.

    Raises:
        StoreError: the store does not answer.
    """
    if not question.to_name:
        return question
    waiting = queries.read(store, queries.text("click_to_name"), {})[0]["waiting"]
    return msgspec.structs.replace(question, to_name=bool(waiting))


def _parts_of(question: Question, params: Mapping[str, object]) -> dict[str, str]:
    """The queries that others are made of, each with its own slots filled."""
    parts = {
        **visible_to(question),
        **rates(params["reporting"]),
        **_reported("reported_through" in params),
        "hits": queries.text("named_click" if question.to_name else "click_as_told"),
        "spread": queries.text("spread"),
        "matches": matches(question),
    }
    return {**parts, "worth": _composed("worth_of_match", parts)}


def rates(reporting: object) -> dict[str, str]:
    """The joins that bring what a currency is worth in the reporting one ("": nothing is converted), by the slots they fill."""
    joins = ("rate_of_spend", "rate_of_match")
    if not reporting:
        return dict.fromkeys(joins, queries.text("no_factor"))
    return {name: _composed(name, {"factor": queries.text("factor_of_period")}) for name in joins}


def _reported(known: bool) -> dict[str, str]:
    """The joins that bring up to where the platform has told a campaign's cost, by the slots they fill."""
    joins = ("reported_of_spend", "reported_of_hit")
    if known:
        return dict.fromkeys(joins, queries.text("reported_bound"))
    return {name: _composed(name, {"reported": queries.text("reported_from_spend")}) for name in joins}


def _composed(name: str, parts: Mapping[str, str]) -> str:
    return queries.compose(name, {slot: parts[slot] for slot in queries.slots(name)})


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
    return {"value": value, "lookup": _composed(lookup, parts)}


def read_report(store: Store, name: str, params: dict[str, object], *, question: Question) -> list[dict[str, Any]]:
    """Run one of the report queries with its standard slots filled.

    Args:
        params: `report_params`; with `reported_through` (ms), up to where the platform has told the question's one campaign is not asked again.
    """
    parts = _parts_of(question, params)
    parts |= _told_by(name, question, parts)
    return queries.read(store, _composed(name, parts), params)
