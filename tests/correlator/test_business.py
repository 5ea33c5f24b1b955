"""Configured costs: how they accrue, who bears them, and the business's return beside the channel's; customers, break-even, worth."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.clock import DAY_MS, HOUR_MS, parse_rfc3339
from correlator.business import cut, shared
from correlator.config import CorrelatorConfig
from correlator.configured_cost import ConfiguredCost
from tests.correlator.conftest import World

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
MONTH = parse_rfc3339("2026-09-01T00:00:00Z")


@pytest.fixture
def config() -> CorrelatorConfig:
    """An office of $3,000 a month, a page of $10 a day, $2 for each order and a feed of $28 for one campaign in two weeks."""
    listed = CorrelatorConfig().catalogue
    order = listed["order"].model_copy(update={"margin_rate": 0.5})
    return CorrelatorConfig(
        catalogue={**listed, "order": order},
        costs=(
            ConfiguredCost(name="Office", amount="3000"),
            ConfiguredCost(name="Page A", category="page", amount="10", per="day", pages=("shop.example/a",)),
            ConfiguredCost(name="Payment", category="fee", amount="2", per="conversion", types=("order",)),
            ConfiguredCost(
                name="Feed",
                category="creative",
                amount="28",
                per="campaign",
                campaigns=("google:1:3",),
                first_day=date(2026, 9, 14),
                last_day=date(2026, 9, 27),
            ),
        ),
    )


@pytest.fixture
def shop(world: World) -> World:
    """$75 and $25 of spend by two campaigns; the first sells two orders of $100 over page a and b, the second a third to a known person."""
    clicks = [
        world.click("09:00", page="shop.example/a"),
        world.click("09:01", page="shop.example/b"),
        world.click("09:02", page="shop.example/b", campaign="google:1:3"),
    ]
    for click, person in zip(clicks, ("ada", "", "ada"), strict=True):
        given = {"value_micros": 100_000_000, "currency": "USD", "crm_id": person}
        world.conversion(f"09:1{clicks.index(click)}", click_id=click, **given)
    world.spend("09:00", 75, known="11:00", clicks=2)
    world.spend("09:00", 25, known="11:00", clicks=1, campaign="google:1:3")
    world.settle("2026-09-22T00:00:01Z")
    return world


def rows(world: Any, **query: str) -> dict[str, Any]:
    found = world.get("/roi", **(DAY | query))
    return {row[found["by"]]: row for row in found["rows"]}


def test_costs_are_borne_by_their_stated_rule_and_the_business_earns_less_than_the_channel(shop: World) -> None:
    first, second = (rows(shop)[name] for name in ("google:1:2", "google:1:3"))
    # $100 of the office's month this day, by spend; the page by its clicks; $2 an order; the feed is the second's alone.
    assert first["business"]["costs_by_category"] == {"fee": "4.00", "overhead": "75.00", "page": "10.00"}
    assert second["business"]["costs_by_category"] == {"creative": "2.00", "fee": "2.00", "overhead": "25.00"}
    assert (first["live"]["roi"], first["business"]["roi"]) == (pytest.approx(200 / 75 - 1), pytest.approx(36 / 164))
    assert (first["business"]["spend_and_costs"], first["business"]["profit"]) == ("164.00", "-64.00")
    assert (first["live"]["contribution"], first["business"]["settled_roi"]) == ("25.00", None)
    # Whoever asks about one campaign, or with another cut of time, sees the same share.
    assert rows(shop, campaign="google:1:2")["google:1:2"]["business"] == first["business"]
    assert rows(shop, grain="1d")["google:1:2"]["business"]["costs"] == first["business"]["costs"]
    assert rows(shop, grain="15m")["google:1:2"]["business"] is None
    by_hour = shop.get("/roi", **DAY, grain="1h", limit="1000")["rows"]
    for name, whole in (("google:1:2", first), ("google:1:3", second)):
        hours = [row["business"] for row in by_hour if row["campaign"] == name]
        assert len(hours) == 24, "those without a click, too"
        for category, amount in whole["business"]["costs_by_category"].items():
            assert sum(Decimal(hour["costs_by_category"].get(category, "0")) for hour in hours) == Decimal(amount)
    night = next(row for row in by_hour if row["campaign"] == "google:1:2" and row["since"].endswith("T03:00:00.000Z"))
    borne = {name: round(float(amount), 2) for name, amount in night["business"]["costs_by_category"].items()}
    assert (night["clicks"], borne, night["business"]["roi"]) == (0, {"overhead": 3.12, "page": 0.42}, -1.0)
    first, second = (rows(shop)[name] for name in ("google:1:2", "google:1:3"))
    assert first["customers"] == {"new": 1, "known": 0, "unknown": 1}
    assert second["customers"] == {"new": 0, "known": 1, "unknown": 0}
    assert (first["live"]["cost_per_new_customer"], first["live"]["cost_per_new_customer_low"]) == ("75.00", "37.50")
    assert second["live"]["cost_per_new_customer"] is None
    limits = rows(shop)["google:1:2"]["break_even"]
    # $50 of margin an order; $37.50 a click.
    assert limits == {"basis": "observed", "rate": 0.75, "cost_per_conversion": "50.00", "pays": None}
    for name in ("campaign", "page", "client"):
        told = rows(shop, by=name)
        assert sum(float(row["business"]["costs"]) for row in told.values()) == 100 + 10 + 6 + 2, name
    # No platform tells its spend by page, so nobody's page bears what is shared by spend.
    assert rows(shop, by="page")["(not told)"]["business"]["costs_by_category"]["overhead"] == "100.00"
    quiet = rows(shop, since="2026-09-20T00:00:00Z", until="2026-09-21T00:00:00Z")
    assert quiet["(not told)"]["business"]["costs_by_category"] == {"overhead": "100.00", "page": "10.00"}
    assert quiet["google:1:3"]["business"]["costs_by_category"] == {"creative": "2.00"}
    assert quiet["(not told)"]["business"]["roi"] == -1.0
    # The part of today that has passed, and nothing of tomorrow.
    shop.settle("2026-09-22T12:00:00Z")
    today = rows(shop, since="2026-09-22T00:00:00Z", until="2026-09-24T00:00:00Z")
    assert round(float(today["(not told)"]["business"]["costs_by_category"]["page"])) == 5


def test_a_lead_that_nobody_priced_is_no_return_of_minus_one(world: World) -> None:
    click = world.click("09:00")
    world.conversion("09:01", type="lead", click_id=click, status="captured", conversion_id="l")
    world.conversion("09:02", type="lead", click_id=click, status="qualified", conversion_id="q")
    world.spend("09:00", 60, known="11:00", clicks=1)
    world.settle("12:00")
    found = rows(world)["google:1:2"]
    assert (found["outcome"]["unvalued_by_type"], found["outcome"]["qualified_by_type"]) == ({"lead": 2}, {"lead": 1})
    assert (found["live"]["roi"], found["live"]["roas"], found["business"]["roi"]) == (None, None, None)
    assert (found["live"]["cost_per_lead"], found["live"]["cost_per_qualified_lead"]) == ("30.00", "60.00")
    # One sale, and there is a value to divide.
    world.conversion("09:05", click_id=click, value_micros=90_000_000, currency="USD")
    world.settle("12:10")
    assert rows(world)["google:1:2"]["live"]["roi"] == 0.5


@given(
    cuts=st.lists(st.integers(-40 * DAY_MS, 90 * DAY_MS), min_size=2, max_size=8),
    per=st.sampled_from(["month", "day", "campaign"]),
    amount=st.integers(0, 10**9),
)
def test_whatever_time_is_cut_into_the_parts_sum_to_the_whole(cuts: list[int], per: str, amount: int) -> None:
    cost = ConfiguredCost.model_validate(
        {"name": "x", "per": per, "amount": f"{amount / 1_000_000:.6f}", "campaigns": ["a:1:1"],
         "first_day": "2026-08-20", "last_day": "2026-10-03"}
    )  # fmt: skip
    moments = sorted(MONTH + cut for cut in cuts)
    parts = [cost.accrued(since, until) for since, until in pairwise(moments)]
    assert sum(parts) == cost.accrued(moments[0], moments[-1])
    assert all(part >= 0 for part in parts)


@settings(deadline=None, max_examples=25)
@given(
    weights=st.dictionaries(st.tuples(st.sampled_from("xyz"), st.sampled_from("abc")), st.integers(1, 10**12), min_size=1),
    amount=st.integers(0, 10**12),
    zone_h=st.integers(0, 23),
)  # fmt: skip
def test_the_hours_of_a_month_sum_to_the_month_to_the_micro_for_everyone_and_in_each_hour(
    weights: dict[tuple[str, str], int], amount: int, zone_h: int
) -> None:
    cost = ConfiguredCost(name="x", amount="1")
    parts, borne, in_hours = shared(weights), Counter[tuple[str, str]](), []
    for day, ends in cut(MONTH, MONTH + 30 * DAY_MS, every=DAY_MS):
        for since, until in cut(day, ends, every=HOUR_MS, begin=zone_h):
            before, after = (cost.accrued(day, moment, amount=amount) for moment in (since, until))
            charged = {place: share.of(after) - share.of(before) for place, share in parts.items()}
            assert sum(charged.values()) == cost.accrued(since, until, amount=amount)
            borne.update(charged)
            in_hours.append(after - before)
    assert sum(in_hours) == borne.total() == amount
    whole = sum(weights.values())
    assert all(abs(borne[place] - amount * weight / whole) <= 31 for place, weight in weights.items())


def test_the_costs_that_the_page_shows_are_settings() -> None:
    page = (Path(__file__).parents[2] / "docs/roi.md").read_text("utf-8")
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.S)[0])
    costs = CorrelatorConfig.model_validate(shown["correlator"]).costs
    assert [(cost.per, cost.weight) for cost in costs] == [
        ("month", "spend"), ("day", "clicks"), ("month", "clicks"), ("campaign", "spend"), ("conversion", "spend"),
    ]  # fmt: skip


def test_a_month_is_its_amount_however_long_it_is() -> None:
    cost = ConfiguredCost(name="x", amount="310")
    august = MONTH - 31 * DAY_MS
    assert (cost.accrued(august, MONTH), cost.accrued(MONTH, MONTH + 30 * DAY_MS)) == (310_000_000, 310_000_000)
    assert cost.accrued(august, august + DAY_MS) == 10_000_000
    assert ConfiguredCost(name="x", amount="24", per="day").accrued(MONTH + HOUR_MS, MONTH + 2 * HOUR_MS) == 1_000_000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"amount": "-1"}, "less than nothing"),
        ({"amount": "1", "per": "campaign"}, "name the campaigns"),
        ({"amount": "1", "per": "page", "pages": ["a"]}, "first and last day"),
        ({"amount": "1", "types": ["order"]}, "only with per: conversion"),
        ({"amount": "1", "first_day": "2026-02-01", "last_day": "2026-01-01"}, "before first_day"),
    ],
)
def test_a_cost_that_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ConfiguredCost.model_validate({"name": "x", **fields})


def test_costs_in_a_currency_without_a_rate_stand_beside_and_blank_the_business(world: World) -> None:
    told = CorrelatorConfig(costs=(ConfiguredCost(name="Rent", amount="10", per="day", currency="EUR"),))
    world.config.__dict__["costs"] = told.costs
    world.click("09:00")
    world.spend("09:00", 5, known="11:00", clicks=1)
    world.conversion("09:01", value_micros=1_000_000, currency="USD")
    world.settle("2026-09-22T00:00:01Z")
    nobody = rows(world)["(not told)"]["business"]
    assert (nobody["costs"], nobody["other_currencies"], nobody["roi"]) == ("0.00", {"EUR": "10.00"}, None)
