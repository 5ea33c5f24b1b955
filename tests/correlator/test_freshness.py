"""How complete the sources are: watermarks that move, lag, stand still or never came."""

from __future__ import annotations

from typing import Any

import pytest

from core.records import Reading
from correlator.freshness import source_state
from tests.correlator.conftest import moment

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


def reading(world: Any, state: str, *, at: str, source: str = "google_ads", **fields: Any) -> None:
    world.tell(Reading(ts=moment(at), source=source, state=state, **fields), known=at)


def test_what_a_reader_tells_of_its_source_stands_beside_its_watermark(world: Any) -> None:
    world.watermark("09:00", known="09:10", lag_s=600)
    reading(world, "complete", at="09:10", documented_lag_s=600)
    reading(
        world,
        "quota",
        at="09:30",
        detail="too many operations",
        next_attempt=moment("11:30"),
        findings=["null_rate"],
        details=["cost empty in 60 % of rows, usually 1 %"],
        quota_unit="operations in 24 h",
        quota_used=2870.0,
        quota_limit=2880.0,
        quota_resets_at=moment("23:00"),
    )
    world.settle("10:00")
    ads = world.get("/freshness")["sources"][1]
    assert (ads["reading"], ads["detail"]) == ("quota", "too many operations")
    assert ads["next_attempt"] == "2026-09-21T11:30:00.000Z"
    assert ads["findings"] == [{"finding": "null_rate", "detail": "cost empty in 60 % of rows, usually 1 %"}]
    assert ads["quota"] == {
        "used": 2870.0,
        "limit": 2880.0,
        "unit": "operations in 24 h",
        "resets_at": "2026-09-21T23:00:00.000Z",
    }
    world.settle("12:00")
    assert world.get("/freshness")["sources"][1]["next_attempt"] is None, "that moment is over"
    then = world.get("/freshness", as_of="09:20")["sources"][1]
    assert (then["reading"], then["quota"], then["findings"]) == ("complete", None, [])


def test_a_source_that_never_was_complete_shows_and_holds_nothing_up(world: Any) -> None:
    world.watermark("09:50", known="09:55", lag_s=600)
    reading(world, "stopped", at="09:55", source="ga4:1", detail="no access to the property")
    world.settle("10:00")
    found = world.get("/freshness")
    ga4 = next(source for source in found["sources"] if source["source"] == "ga4:1")
    assert (ga4["state"], ga4["complete_through"], ga4["reading"]) == ("silent", None, "stopped")
    assert found["complete_through"] == "2026-09-21T09:50:00.000Z"


def test_a_source_with_a_long_lag_holds_up_its_own_figure_only(world: Any) -> None:
    world.watermark("09:00", known="10:00", lag_s=3 * 3600, source="google_ads:1")
    world.watermark("2026-09-20T19:00:00Z", known="10:00", lag_s=15 * 3600, source="google_conversions:1")
    world.settle("10:01")
    found = world.get("/freshness")
    waits = {one["figure"]: (one["complete_through"], one["slowest"]) for one in found["figures"]}
    assert waits["spend"] == ("2026-09-21T09:00:00.000Z", "google_ads:1")
    assert waits["tallies"] == ("2026-09-20T19:00:00.000Z", "google_conversions:1")
    assert waits["conversions"][1] == "journal"
    assert found["complete_through"] == "2026-09-21T09:00:00.000Z"


def test_a_source_that_left_the_settings_holds_nothing_up(world: Any) -> None:
    world.watermark("09:00", known="09:10", lag_s=600)
    reading(world, "removed", at="09:20")
    world.settle("10:00")
    found = world.get("/freshness")
    assert [source["source"] for source in found["sources"]] == ["journal"]
    assert found["complete_through"] > "2026-09-21T09:59"


def test_a_key_of_one_client_sees_no_details_of_accounts(world: Any) -> None:
    world.watermark("09:00", known="09:10", lag_s=600)
    reading(world, "stopped", at="09:20", detail="no access to account 42", quota_unit="calls", quota_limit=10.0)
    world.settle("10:00")
    ads = world.get("/freshness", key=world.keys.add("tenant", scopes=["read"], clients=["acme"]))["sources"][1]
    assert (ads["reading"], ads["detail"], ads["quota"], ads["findings"]) == ("stopped", "", None, [])
