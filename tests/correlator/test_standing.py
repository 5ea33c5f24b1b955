"""Every figure says how much of it is known at its age: in API, JSON and CLI alike, live and as of a moment."""

from __future__ import annotations

from typing import Any

import pytest

from app.cli.reports import known_share
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, to_rfc3339
from core.journal.writer import JournalWriter
from core.metric_catalogue import catalogue
from tests.correlator.conftest import moment

FIRST = moment("2026-09-01T00:00:00Z")


@pytest.fixture
def journal(one_segment: JournalWriter) -> JournalWriter:
    return one_segment


def leads_of_eight_days(world: Any) -> int:
    """Each day ten leads at ten o'clock: six are known at once, four after three hours. Ends on the ninth at noon."""
    for number in range(9):
        at = FIRST + number * DAY_MS + 10 * HOUR_MS
        for late, leads in ((1, 6), (3 * HOUR_MS, 4)):
            for _ in range(leads if at + late < FIRST + 8 * DAY_MS + 12 * HOUR_MS else 0):
                world.conversion(at, known=at + late, type="lead")
    end = FIRST + 8 * DAY_MS + 12 * HOUR_MS
    world.settle(end)
    return end


def ask(world: Any, path: str, end: int, **query: str) -> dict[str, Any]:
    """About the hour from ten to eleven, asked at noon."""
    since, until = to_rfc3339(end - 2 * HOUR_MS), to_rfc3339(end - HOUR_MS)
    answer = world.client.get(
        f"/api/v1{path}", params={"from": since, "to": until, **query}, headers={"Authorization": f"Bearer {world.key}"}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_young_period_says_how_much_of_it_is_known(world: Any) -> None:
    end = leads_of_eight_days(world)
    answer = ask(world, "/roi", end)
    (row,) = answer["rows"]
    # One to two hours old: what comes at once is there.
    assert row["outcome"]["conversions"] == 6
    known = row["standing"]["known"]
    assert known["share"] == pytest.approx(0.6)
    assert known["low"] < known["share"] < known["high"] <= 1
    assert known["days"] == 6, "not the first day, which begins the source, nor the last, which is not over for any age"
    assert (row["standing"]["least"], row["standing"]["tier"]) == ("conversions", "operational")
    assert row["settled"]["tier"] == "financial"
    assert answer["standing"]["known"] == known
    older = ask(world, "/roi", end - DAY_MS)
    assert older["standing"]["known"]["share"] > 0.99

    said = known_share(answer["standing"])
    assert said.startswith("Usually 60 % (")
    assert said.endswith("of the conversions of a period this young is known (learned from 6 days).")
    assert known_share(older["standing"]) == ""


def test_every_answer_about_figures_has_its_standing(world: Any) -> None:
    end = leads_of_eight_days(world)
    tiers = {}
    for path in ("/roi", "/attribution", "/reconciliation", "/traffic", "/unmatched"):
        answer = ask(world, path, end)
        standing = answer["standing"]
        tiers[path] = standing["tier"]
        assert standing["complete_through"] == answer["complete_through"]["all"], path
        assert standing["waits_for"] == "journal"
        told = {one["figure"]: one["known"] for one in standing["figures"]}
        assert told["conversions"]["share"] < 0.61 if path != "/traffic" else told["conversions"], path
    assert tiers["/reconciliation"] == catalogue().metric("reconciliation_variance").tier

    fills = world.get("/freshness")["fills"]
    (leads,) = [fill for fill in fills if fill["kind"] == "conversion"]
    assert (leads["source"], leads["origin"], leads["name"]) == ("push", "backend", "lead")
    assert {age: round(share, 2) for age, share in leads["known_by_age"].items()} == {
        "15m": 0.6, "1h": 0.6, "6h": 1.0, "1d": 1.0,
    }  # fmt: skip


def test_what_is_known_as_of_a_moment_stays_what_it_was(world: Any) -> None:
    end = leads_of_eight_days(world)
    then = ask(world, "/roi", end, as_of=to_rfc3339(end))
    for step in range(30):  # late facts of a day that had taught already
        world.conversion(end - 3 * DAY_MS + step * MINUTE_MS, known=end + HOUR_MS, type="lead")
    world.settle(end + 2 * DAY_MS)
    assert ask(world, "/roi", end, as_of=to_rfc3339(end)) == then
    assert ask(world, "/roi", end)["rows"][0]["standing"]["known"]["share"] > 0.99


def test_a_late_fact_restates_its_hour_in_its_standing(world: Any) -> None:  # example 12
    world.click("09:00")
    world.conversion("09:00", value_micros=10_000_000, currency="USD", known="09:47")
    world.settle("09:50")
    answer = world.get("/roi", since="09:00", until="10:00")
    assert answer["standing"]["restated_at"] == "2026-09-21T09:47:00.000Z"
    assert answer["standing"]["known"] is None, "a day of history teaches nothing"
