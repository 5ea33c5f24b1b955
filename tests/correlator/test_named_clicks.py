"""A click that came without its campaign belongs to the one that the platform names later: in reports, and as known."""

from __future__ import annotations

from typing import Any

import pytest

from core.identity import derive

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
CAMPAIGN = "google:1:2"
UNNAMED = {"campaign": "", "platform": ""}


@pytest.fixture
def clicked(world: Any) -> list[str]:
    """Two clicks without a campaign, one with; the first and the last of them bought. At 13:00 Google names the first two."""
    ids = [derive("gclid", b"A"), derive("gclid", b"B")]
    for n, click_id in enumerate(ids):
        world.click(f"09:0{n}", click_id=click_id, **UNNAMED)
    ids.append(world.click("09:03", campaign="google:1:3"))
    world.conversion("09:30", click_id=ids[0], value_micros=50_000_000, currency="USD")
    world.conversion("09:31", click_id=ids[2], value_micros=20_000_000, currency="USD")
    world.settle("12:00")
    for click_id in ids[:2]:
        world.platform_click(click_id, known="13:00")
    world.settle("14:00")
    return ids


def rows(world: Any, **query: str) -> dict[str, tuple[int, int]]:
    found = world.get("/roi", **DAY, **query)["rows"]
    return {row["campaign"]: (row["clicks"], row["outcome"]["conversions"]) for row in found}


def test_clicks_conversions_and_credit_move_to_the_campaign_together_once_it_is_known(
    world: Any, clicked: list[str]
) -> None:
    assert rows(world) == {CAMPAIGN: (2, 1), "google:1:3": (1, 1)}
    assert rows(world, campaign=CAMPAIGN) == {CAMPAIGN: (2, 1)}
    assert rows(world, as_of="12:30") == {"": (2, 1), "google:1:3": (1, 1)}
    credits = world.get("/attribution", **DAY)["rows"]
    assert {(row["campaign"], row["conversions"]) for row in credits} == {(CAMPAIGN, 1.0), ("google:1:3", 1.0)}


def test_what_the_platform_says_last_counts_and_never_against_the_click_s_own_campaign(
    world: Any, clicked: list[str]
) -> None:
    world.platform_click(clicked[1], known="15:00", campaign="google:1:5")
    world.platform_click(clicked[2], known="15:00", campaign="google:1:9")
    world.settle("16:00")
    assert rows(world) == {CAMPAIGN: (1, 1), "google:1:3": (1, 1), "google:1:5": (1, 0)}


def test_a_click_without_a_campaign_is_looked_up_from_the_first_name_that_a_platform_tells(world: Any) -> None:
    click_id = derive("gclid", b"A")
    world.click("09:00", click_id=click_id, **UNNAMED)
    world.conversion("09:30", click_id=click_id, value_micros=50_000_000, currency="USD")
    world.settle("12:00")
    assert rows(world) == {"": (1, 1)}
    assert world.get(f"/clicks/{click_id}")["conversions"][0]["method"] == "click_id"
    world.platform_click(click_id, known="13:00")
    world.settle("14:00")
    assert rows(world) == {CAMPAIGN: (1, 1)}
    assert rows(world, as_of="12:30") == {"": (1, 1)}
