"""A conversion's life: states with both times, what its value can be believed for at each age, and blanks that are no zeros (example 15)."""

from __future__ import annotations

from typing import Any

import pytest

from correlator.config import ConversionType
from correlator.life import stage


@pytest.mark.parametrize(
    ("status", "age_hours", "expected"),
    [
        ("captured", 0, "captured"),
        ("captured", 1, "estimated"),
        ("confirmed", 24 * 14 - 1, "estimated"),
        ("confirmed", 24 * 14, "settled"),
        ("returned", 24 * 3, "estimated"),
        ("rejected", 24 * 30, "dropped"),
        ("duplicate", 0, "dropped"),
    ],
)
def test_how_far_a_value_is_believed_depends_on_age_and_status(status: str, age_hours: int, expected: str) -> None:
    assert stage(status, ts=0, at=age_hours * 3_600_000, entry=ConversionType()) == expected


def lead_of(world: Any, click: str, **asked: str) -> Any:
    (found,) = world.get(f"/clicks/{click}", **asked)["conversions"]
    return found


def test_a_lead_is_captured_then_estimated_then_settled_and_its_return_is_blank_until_the_window_closes(
    world: Any,
) -> None:
    lead = world.config.catalogue["lead"]
    world.config.catalogue["lead"] = lead.model_copy(update={"default_value": "40.00"})
    click = world.click("08:59")
    same = {"type": "lead", "conversion_id": "l-1"}
    world.conversion("09:00", status="captured", click_id=click, **same)
    world.settle("09:10")
    first = lead_of(world, click)
    assert first["worth"] == {
        "stage": "captured", "window_closes": "2026-10-05T09:00:00.000Z", "currency": "USD", "expected": "40.00",
        "estimated": None, "settled": None, "came_back": None,
    }  # fmt: skip
    assert first["qualified"] is False
    world.settle("10:00")
    assert (lead_of(world, click)["worth"]["stage"], lead_of(world, click)["worth"]["estimated"]) == (
        "estimated",
        "20.00",
    )

    # The sales people say so on Wednesday, and we learn it on Thursday; the contract comes a week later.
    world.conversion("2026-09-23T12:00:00Z", status="qualified", click_id=click, known="2026-09-24T08:00:00Z", **same)
    world.conversion("2026-09-24T12:00:00Z", status="qualified", click_id=click, known="2026-09-25T08:00:00Z", **same)
    world.conversion("2026-09-30T12:00:00Z", status="confirmed", click_id=click, **same)
    world.settle("2026-10-05T09:00:01Z")
    settled = lead_of(world, click)
    assert (settled["worth"]["settled"], settled["worth"]["came_back"], settled["qualified"]) == ("40.00", False, True)
    assert [(step["status"], step["at"][:10], step["known"][:10]) for step in settled["life"]] == [
        ("captured", "2026-09-21", "2026-09-21"),
        ("qualified", "2026-09-23", "2026-09-24"),
        ("confirmed", "2026-09-30", "2026-09-30"),
    ]
    assert settled["at"][:10] == "2026-09-21"  # a later state does not move the lead
    day = {"since": "2026-09-21T00:00:00Z", "until": "2026-09-22T00:00:00Z"}
    (row,) = world.get("/roi", **day, as_of="2026-10-01T00:00:00Z")["rows"]
    assert (row["settled"]["return_rate"], row["settled"]["open_windows"]) == (None, 1)

    world.conversion("2026-10-08T12:00:00Z", status="refunded", click_id=click, **same)
    world.settle("2026-10-20T00:00:00Z")
    gone = lead_of(world, click)
    assert (gone["worth"]["expected"], gone["worth"]["came_back"], gone["qualified"]) == ("0.00", True, False)
    assert [step["status"] for step in gone["life"]][-1] == "refunded"
    (row,) = world.get("/roi", **day)["rows"]
    assert (row["settled"]["return_rate"], row["settled"]["returned"]) == (1.0, 1)
    # What was known before has not changed by any of it.
    before = lead_of(world, click, as_of="2026-09-24T07:00:00Z")
    assert [step["status"] for step in before["life"]] == ["captured"]
    assert (before["worth"]["stage"], before["qualified"], before["flags"]) == ("estimated", False, [])
