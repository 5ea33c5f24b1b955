"""A campaign against yesterday, last week, its trailing week, the nearest control and its target."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.journal.writer import JournalWriter
from correlator.control_campaign import Control, nearest
from correlator.intervals import difference, wilson
from tests.correlator.conftest import CAMPAIGN, moment
from tests.correlator.test_reports_api import tell_incident

TODAY = moment("2026-09-21T00:00:00Z")
TWIN, OTHER = "google:1:3", "google:1:4"


@pytest.fixture
def journal(one_segment: JournalWriter) -> JournalWriter:
    return one_segment


def hour_of(world: Any, campaign: str, at: int, clicks: int, *, leads: int = 0, known: str = "11:00") -> None:
    """All of it learned at one moment, so that it lies in one segment."""
    for number in range(clicks):
        click = world.click(at + number * MINUTE_MS, campaign=campaign, known=known)
        if number < leads:
            world.conversion(at + number * MINUTE_MS + 1000, click_id=click, type="lead", known=known)


def four_weeks(world: Any) -> None:
    """Seven hours a day: the twin goes up and down with the campaign, the other against it. Today all but the other fell by half."""
    random = Random(5)
    for day in range(28, 0, -1):
        for hour in range(7):
            level = random.randint(1, 3)
            at = TODAY - day * DAY_MS + (8 + hour) * HOUR_MS
            fixed = day in (1, 7) and hour == 2
            hour_of(world, CAMPAIGN, at, 8 if fixed else 2 * level, leads=2 if fixed else 0)
            hour_of(world, TWIN, at, 6 if fixed else 2 * level + random.randint(0, 1))
            hour_of(world, OTHER, at, 4 - level)
    hour_of(world, CAMPAIGN, TODAY + 10 * HOUR_MS, 4, leads=2)
    hour_of(world, TWIN, TODAY + 10 * HOUR_MS, 4)
    world.campaign("11:00", target_cpl_micros=4_000_000, cpc_micros=1_000_000, currency="USD", source="push")


def against(world: Any, campaign: str = CAMPAIGN, *, status: int = 200, **query: str) -> dict[str, Any]:
    given = {"since": "10:00", "until": "11:00"} | query
    found = world.get(f"/campaigns/{campaign}/comparison", status=status, **given)
    return {**found, **{one["name"]: one for one in found.get("against", ())}}


@pytest.fixture
def history(world: Any) -> Any:
    four_weeks(world)
    world.settle("13:30")
    return world


def test_an_hour_stands_beside_the_same_hours_a_control_and_the_target(history: Any) -> None:
    found = against(history)
    assert (found["figures"]["clicks"], found["figures"]["conversions"]) == (4.0, 2.0)
    for name, since in (("yesterday", "2026-09-20T10:00:00.000Z"), ("last_week", "2026-09-14T10:00:00.000Z")):
        assert (found[name]["since"], found[name]["figures"]["clicks"]) == (since, 8.0)
        assert found[name]["changes"]["clicks"] == -0.5
        assert found[name]["changes"]["conversions"] == 0.0
    week = found["trailing_7d"]
    assert week["until"] == "2026-09-21T10:00:00.000Z"
    rows = history.store.rows(
        "SELECT count() AS clicks FROM click WHERE campaign = {campaign:String} AND ts >= {since:DateTime64(3)} AND ts < {until:DateTime64(3)}",
        {"campaign": CAMPAIGN, "since": "2026-09-14 10:00:00.000", "until": "2026-09-21 10:00:00.000"},
    )
    assert week["figures"]["clicks"] == pytest.approx(int(str(rows[0]["clicks"])) / 168), "the mean hour of the week"
    control = found["control"]
    assert (control["campaign"], control["score"] > 0.8) == (TWIN, True)
    # The twin fell as far as the campaign: by the twin, four clicks and a little are what was to be expected.
    assert abs(control["changes"]["clicks"]) < 0.35 < week["changes"]["clicks"]
    target = found["target"]
    assert (target["figures"]["cost_per_lead"], target["currency"]) == ("4.00", "USD")
    assert found["figures"]["cost_per_lead"] == "2.00"
    assert target["changes"]["cost_per_lead"] == -0.5

    tell_incident(history, "i-1", "09:30")  # of the campaign itself: the control stays
    history.settle("13:40")
    assert against(history)["control"]["campaign"] == TWIN
    assert against(history, OTHER)["control"]["missing"] == "no_control", "nobody goes up when the others go down"
    assert against(history, "google:9:9", status=404)["reason"] == "unknown_campaign"
    assert against(history, since="2026-09-18T10:00:00Z")["yesterday"]["missing"] == "overlaps"


def test_without_history_every_comparison_says_what_is_missing_and_as_of_a_moment_it_stays_so(world: Any) -> None:
    world.click("10:10")
    world.settle("11:00")
    found = against(world, as_of="11:00")
    assert {one["name"]: one["missing"] for one in found["against"]} == {
        "yesterday": "nothing_then", "last_week": "nothing_then", "trailing_7d": "nothing_then", "control": "no_control",
        "target": "no_target",
    }  # fmt: skip
    assert (found["known"], found["adjusted"]) == (None, False)
    hour_of(world, CAMPAIGN, TODAY - DAY_MS + 10 * HOUR_MS, 1, known="11:30")
    hour_of(world, CAMPAIGN, TODAY + 10 * HOUR_MS, 1, known="11:30")
    world.settle("12:00")
    assert against(world, as_of="11:00") == found
    assert against(world)["yesterday"]["changes"]["clicks"] == 1.0


def row(campaign: str, own: float, with_it: float, hours: int = 400) -> dict[str, Any]:
    return {"campaign": campaign, "active_hours": hours, "own": own, "with_it": with_it, "by_hour": {}}


def test_the_nearest_is_the_most_alike_that_may_be_asked() -> None:
    rows = [
        row("a", 4.0, 4.0),
        row("b", 9.0, 5.4),
        row("c", 4.0, 3.2),
        row("d", 4.0, 3.9, hours=100),
        row("e", 0.0, 0.0),
    ]
    assert nearest(rows, campaign="a", days=28) == Control(campaign="b", score=pytest.approx(0.9), days=28)
    assert nearest(rows, campaign="a", days=28, excluded=["b"]) == Control(
        campaign="c", score=pytest.approx(0.8), days=28
    )
    assert nearest(rows, campaign="a", days=28, excluded=["b", "c"]) is None, "the other has too few hours"
    assert nearest(rows, campaign="z", days=28) is None


def test_rates_of_small_numbers_are_not_told_apart() -> None:
    # Newcombe 1998, table II, (a): 56/70 against 48/80, method 10.
    now, then = wilson(56, 70), wilson(48, 80)
    assert now is not None
    assert then is not None
    found = difference(now, then)
    assert (round(found.rate, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
