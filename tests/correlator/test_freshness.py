"""How complete the sources are: watermarks that move, lag, stand still or never came."""

from __future__ import annotations

from typing import Any

import pytest

from correlator.freshness import source_state

MINUTE = 60_000


def state(**row: int) -> str:
    given = {"source": "google_ads", "complete_through": 0, "documented_lag_s": 0, "read_at": 0, "usual_gap_ms": MINUTE}
    return source_state({**given, **row}, at=100 * MINUTE).state


@pytest.mark.parametrize(
    ("complete_through", "documented_lag_s", "read_at", "expected"),
    [
        (99 * MINUTE, 60, 99 * MINUTE, "on_time"),
        (30 * MINUTE, 3600, 99 * MINUTE, "on_time"),
        (30 * MINUTE, 60, 99 * MINUTE, "late"),
        (90 * MINUTE, 3600, 90 * MINUTE, "stalled"),
        (0, 60, 99 * MINUTE, "silent"),
    ],
)
def test_a_source_is_judged_by_its_own_promise(
    complete_through: int, documented_lag_s: int, read_at: int, expected: str
) -> None:
    assert state(complete_through=complete_through, documented_lag_s=documented_lag_s, read_at=read_at) == expected


def test_an_unreachable_platforms_watermark_stands_still_and_shows(world: Any) -> None:
    for minute in range(0, 10):
        world.watermark(f"09:{minute:02d}", known=f"09:{minute:02d}", lag_s=60)
    world.click("10:30")
    world.settle("10:30")
    found = world.get("/freshness")
    journal, ads = found["sources"]
    assert (ads["source"], ads["state"], ads["complete_through"]) == (
        "google_ads",
        "stalled",
        "2026-09-21T09:09:00.000Z",
    )
    assert ads["lag_s"] > 80 * 60
    assert (journal["source"], journal["state"]) == ("journal", "on_time")
    assert found["complete_through"] == ads["complete_through"]


def test_the_newest_line_of_every_kind_is_measured(world: Any) -> None:
    world.click("10:00")
    world.click("10:01")
    world.conversion("10:02")
    world.settle("10:05")
    kinds = {kind["kind"]: kind for kind in world.get("/freshness")["kinds"]}
    assert {name: kind["lines"] for name, kind in kinds.items()} == {"click": 2, "conversion": 1}
    assert kinds["click"]["newest_event"] == "2026-09-21T10:01:00.000Z"
    assert 240 < kinds["click"]["age_s"] < 245


def test_without_clicks_there_is_no_click_delay(world: Any) -> None:
    world.settle("10:05")
    assert world.get("/freshness")["click_delay"] == {"p50_s": None, "p95_s": None}


def test_freshness_can_be_asked_as_of_a_moment(world: Any) -> None:
    world.watermark("09:00", known="09:10", lag_s=600)
    world.watermark("10:00", known="10:10", lag_s=600)
    world.settle("11:00")
    then = world.get("/freshness", as_of="09:30")["sources"][1]
    assert (then["complete_through"], then["lag_s"]) == ("2026-09-21T09:00:00.000Z", 1800.0)
