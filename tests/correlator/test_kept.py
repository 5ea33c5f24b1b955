"""Beyond what is kept: an as-of question is refused by name, any other is told from when on its answer is whole."""

from __future__ import annotations

from typing import Any

import pytest

from core.clock import DAY_MS
from core.settings import RetentionConfig
from core.store.retention import apply
from correlator.config import CorrelatorConfig
from correlator.kept import kept_from, lookback_ms, within_retention
from correlator.period import Question
from tests.correlator.conftest import moment

NOW = moment("12:00")
LOOKBACK_DAYS = lookback_ms(CorrelatorConfig()) // DAY_MS


def test_an_answer_as_of_then_is_refused_from_the_day_on_which_it_would_become_a_smaller_one(world: Any) -> None:
    click_id = world.click("09:00")
    world.touch("09:01", "page_view", click_id)
    world.conversion("09:30", click_id=click_id)
    world.settle("10:00")
    then = {"since": "08:00", "until": "10:00", "as_of": "10:00"}
    said = {path: world.get(path, **then) for path in ("/roi", "/unmatched")}
    assert said["/roi"]["rows"][0]["outcome"]["conversions"] == 1
    world.retention.update(RetentionConfig(click=LOOKBACK_DAYS + 10, conversion=LOOKBACK_DAYS + 10, touch=40).days())

    world.clock.now = moment("08:00") + 9 * DAY_MS
    world.settle(world.clock.now)
    assert {path: world.get(path, **then) for path in said} == said, "clicks of the whole look-back are there"
    world.clock.now = moment("08:00") + 11 * DAY_MS
    world.settle(world.clock.now)
    for path in said:
        refused = world.get(path, status=410, **then)
        assert refused["reason"] == "beyond_retention"
        assert "periods from 2026-09-22T08:00:01" in refused["detail"]
    assert world.get("/campaigns", as_of="10:00")["campaigns"] == []  # rests on nothing that goes
    live = {"since": "08:00", "until": "10:00"}
    assert world.get("/roi", **live)["kept_from"] is None

    world.clock.now = moment("08:00") + 41 * DAY_MS
    assert world.get("/roi", **live)["kept_from"] is None
    assert world.get("/reconciliation", **live)["kept_from"] == "2026-09-22T08:00:00.000Z"
    assert world.get(f"/clicks/{click_id}")["no_longer_kept"] == ["touch"]

    world.clock.now = moment("08:00") + (LOOKBACK_DAYS + 20) * DAY_MS
    days = RetentionConfig(**world.retention)
    assert set(apply(world.store, days, now=world.clock.now)) == {"click", "touch", "conversion"}
    told = world.get("/roi", **live)
    assert (told["rows"], told["kept_from"]) == ([], "2026-10-01T08:00:00.000Z")


@pytest.mark.parametrize(("days", "kinds", "since"), [({}, ("click",), 0), ({"click": 0}, ("click",), 0), ({"click": 10, "touch": 3}, ("click",), NOW - 10 * DAY_MS), ({"click": 10, "touch": 3}, ("click", "touch"), NOW - 3 * DAY_MS)])  # fmt: skip
def test_what_is_kept_shortest_counts_and_nought_is_for_good(
    days: dict[str, int], kinds: tuple[str, ...], since: int
) -> None:
    assert kept_from(days, kinds, now=NOW) == since
    asked = Question(since=NOW - 5 * DAY_MS, until=NOW, now=NOW)
    assert within_retention(asked, CorrelatorConfig(), days, kinds).kept_from == since
