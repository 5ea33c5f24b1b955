"""Example 13: live $32, nightly $38, and the causes by name; the way from one to the other is exact."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.bridge import CAUSES, Lead, worked_out
from correlator.config import CorrelatorConfig
from correlator.configured_cost import ConfiguredCost
from tests.correlator.conftest import World

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
STATES = st.sampled_from(["counted", "returned", "rejected", "duplicate"])


@pytest.fixture
def config() -> CorrelatorConfig:
    """The creative agency's $44 a day: a category that the live figure leaves out."""
    return CorrelatorConfig(costs=(ConfiguredCost(name="Agency", category="creative", amount="44", per="day"),))


@pytest.fixture
def night(world: World) -> World:
    """Twenty leads for $640 at noon. By the next morning one is the CRM's twin of another and one came back."""
    start = 1790000000000 - 1790000000000 % 86_400_000 + 9 * 3_600_000
    for number in range(20):
        known = {"type": "lead", "status": "captured", "conversion_id": f"l{number}"}
        world.conversion(start + number * 60_000, click_id=world.click(start + number * 1000), **known)
    world.spend("09:00", 640, known="11:30", clicks=20)
    world.settle("12:00")
    (row,) = (row for row in world.get("/roi", **DAY)["rows"] if row["campaign"] == "google:1:2")
    assert row["live"]["cost_per_lead"] == "32.00"
    twin = {"type": "lead", "crm_id": "crm-1"}
    world.conversion("09:00", conversion_id="l0", status="captured", known="18:00", **twin)
    world.conversion("09:01", conversion_id="l1", status="captured", known="18:01", **twin)
    world.conversion("20:00", conversion_id="l2", type="lead", status="returned")
    world.settle("2026-09-22T06:00:00Z")
    return world


def bridge(world: Any, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = world.get("/roi/bridge", live_at="2026-09-21T12:00:00.000Z", **(DAY | query))["bridge"]
    return found


def test_live_and_nightly_differ_by_causes_that_have_names(night: World) -> None:  # example 13
    found = bridge(night)
    assert (found["live"]["cost_per_lead"], found["now"]["cost_per_lead"]) == ("32.00", "38.00")
    told = [(step["cause"], step["category"], step["leads"], step["amount"], step["effect"]) for step in found["steps"]]
    assert told == [
        ("counted_twice", "", -1, "0.00", "1.684211"),
        ("returns_pending", "", -1, "0.00", "1.871345"),
        ("missing_cost", "creative", 0, "44.00", "2.444444"),
    ]
    assert found["pending_leads"] == 18
    # As of noon there is nothing between the two but the cost; as of 18:30 nothing had come back.
    assert [step["cause"] for step in bridge(night, as_of="18:30")["steps"]] == ["counted_twice", "missing_cost"]
    night.spend("09:00", 720, known="2026-09-22T07:00:00Z", clicks=10)
    night.conversion(
        "10:00", type="lead", status="captured", click_id=night.click("09:50"), known="2026-09-22T07:30:00Z"
    )
    night.conversion("09:03", conversion_id="l3", type="lead", status="rejected", known="2026-09-22T07:40:00Z")
    night.settle("2026-09-22T08:00:00Z")
    steps = bridge(night)["steps"]
    assert [step["cause"] for step in steps] == [
        "spend_restated", "learned_later", "counted_twice", "rejected", "returns_pending", "missing_cost",
    ]  # fmt: skip
    assert (steps[0]["amount"], steps[1]["leads"]) == ("80.00", 1)


@given(
    spend=st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
    before=st.dictionaries(st.text("abcdef", min_size=1, max_size=2), STATES),
    after=st.dictionaries(st.text("abcdef", min_size=1, max_size=2), STATES),
    costs=st.dictionaries(st.sampled_from(["fee", "page"]), st.integers(1, 10**10)),
)
def test_the_effects_sum_to_the_difference(
    spend: tuple[int, int], before: dict[str, str], after: dict[str, str], costs: dict[str, int]
) -> None:
    then, now = ({name: Lead(state, False) for name, state in leads.items()} for leads in (before, after))
    steps = worked_out(spend=spend, leads=(then, now), costs=costs)
    live = sum(state in ("counted", "returned") for state in before.values())
    standing = sum(state == "counted" for state in after.values())
    assert live + sum(step.leads for step in steps) == standing
    assert spend[0] + sum(step.amount_micros for step in steps) == spend[1] + sum(costs.values())
    assert [step.cause for step in steps] == sorted((step.cause for step in steps), key=CAUSES.index)
    if all(step.effect_micros is not None for step in steps) and live and standing:
        difference = round((spend[1] + sum(costs.values())) / standing) - round(spend[0] / live)
        assert sum(step.effect_micros or 0 for step in steps) == difference
