"""Conditions: comparisons at their edges, nesting, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.destinations import HostView
from alerts.rules.evaluate import evaluate
from alerts.rules.facts import CATALOGUE, campaign_facts, incident_facts
from alerts.rules.schema import Condition
from tests.alerts.world import affected, incident_payload

NOW = 1_790_000_000_000
FACTS: dict[str, Any] = {"n": 5.0, "t": "open", "b": True, "u": None}


def holds(condition: dict[str, Any]) -> bool | None:
    return evaluate(Condition.model_validate(condition), FACTS).holds


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ({"fact": "n", "at_least": 5}, True),
        ({"fact": "n", "above": 5}, False),
        ({"fact": "n", "at_most": 5}, True),
        ({"fact": "n", "below": 5}, False),
        ({"fact": "t", "equals": "open"}, True),
        ({"fact": "t", "one_of": ["closed", "recovering"]}, False),
        ({"fact": "b", "equals": True}, True),
        ({"fact": "u", "known": False}, True),
        ({"fact": "u", "known": True}, False),
        ({"fact": "u", "below": 9}, None),
        ({"not": {"fact": "u", "below": 9}}, None),
        ({"not": {"fact": "n", "below": 5}}, True),
        ({"all": [{"fact": "u", "below": 9}, {"fact": "n", "above": 9}]}, False),
        ({"all": [{"fact": "u", "below": 9}, {"fact": "n", "at_least": 1}]}, None),
        ({"any": [{"fact": "u", "below": 9}, {"fact": "n", "at_least": 1}]}, True),
        ({"any": [{"fact": "u", "below": 9}, {"fact": "n", "above": 9}]}, None),
        ({"all": [{"any": [{"fact": "n", "at_least": 1}]}, {"not": {"fact": "t", "equals": "closed"}}]}, True),
    ],
)
def test_a_condition_is_true_false_or_unknown(condition: dict[str, Any], answer: bool | None) -> None:
    assert holds(condition) is answer


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_exactly_thirty_percent_below_is_at_most_seventy_whatever_the_division_rounds(clicks: int, base: int) -> None:
    rate, baseline = 7 * base / (10 * clicks), base / clicks
    facts: dict[str, Any] = {"r": rate / baseline}
    assert evaluate(Condition.model_validate({"fact": "r", "at_most": 0.7}), facts).holds is True


def test_the_reason_names_the_comparison_that_decided() -> None:
    condition = Condition.model_validate({"all": [{"fact": "n", "at_least": 1}, {"fact": "t", "equals": "closed"}]})
    assert evaluate(condition, FACTS).because == "t = open, wanted equals closed"


def test_every_fact_of_the_catalogue_is_given_with_its_type() -> None:
    payload = incident_payload(now=NOW)
    host = HostView(host="shop.example")
    facts = {**incident_facts(payload, state="open", now=NOW), **campaign_facts(affected(), payload), **host.facts}
    named = {name for name in CATALOGUE if not name.startswith("redirect.")}
    assert set(facts) == named
    assert all(isinstance(facts[name], CATALOGUE[name][0]) for name in named)


def test_without_a_margin_the_facts_about_money_are_unknown_and_not_zero() -> None:
    facts = campaign_facts(affected(break_even_rate=None), incident_payload(now=NOW))
    assert facts["campaign.upper_to_break_even"] is None
    assert facts["campaign.pause_gain_per_hour"] is None


def test_a_campaign_takes_the_tighter_of_its_own_limit_and_the_scopes() -> None:
    payload = incident_payload(now=NOW)  # the scope's limit is half of its baseline
    assert campaign_facts(affected(rate_high=0.02), payload)["campaign.upper_to_baseline"] == 0.5
    assert campaign_facts(affected(rate_high=0.004), payload)["campaign.upper_to_baseline"] == 0.2


def test_no_clicks_and_no_baseline_bound_nothing() -> None:
    nothing = affected(clicks=0.0, baseline_rate=0.0, rate_high=0.0)
    assert campaign_facts(nothing, incident_payload(now=NOW))["campaign.upper_to_baseline"] is None
