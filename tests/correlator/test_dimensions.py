"""Figures by every dimension: sums that stay exact, and spend that the platform does not tell as a row of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from correlator.apportion import apportion
from correlator.config import CorrelatorConfig
from correlator.dimensions import DIMENSIONS, NOT_TOLD
from tests.correlator.conftest import World, moment

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15"
META = "meta:9:1"


def by(world: Any, name: str, **query: str) -> dict[str, Any]:
    """Rows by value."""
    return {row[name]: row for row in world.get("/roi", by=name, **(DAY | query))["rows"]}


def _micros(rows: dict[str, Any], *path: str) -> int:
    total = 0
    for row in rows.values():
        for name in path:
            row = row[name]
        total += round(float(row) * 1_000_000)
    return total


@pytest.fixture
def config(tmp_path: Path) -> CorrelatorConfig:
    """With a database of countries that knows the tests' usual network."""
    writer = MMDBWriter(database_type="Test-Country")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "AT"}})
    writer.to_db_file(str(tmp_path / "countries.mmdb"))
    return CorrelatorConfig(country_database=str(tmp_path / "countries.mmdb"))


@pytest.fixture
def two_platforms(world: World) -> World:
    """Google tells its spend by ad group and device, Meta by neither. Six clicks, four orders, $61 of spend."""
    world.campaign("08:00", name="Search", currency="USD", client="acme", source="push")
    world.campaign(
        "08:00", campaign=META, platform="meta", account="9", currency="USD", source="push", cpc_micros=2_000_000
    )
    clicks = [
        world.click("09:00", ad_group="google:1:a", page="shop.example/a", variant="red", keyword="shoes"),
        world.click("09:01", ad_group="google:1:a", page="shop.example/a", user_agent=MAC),
        world.click(
            "09:02", ad_group="google:1:b", page="shop.example/b", creative="google:1:c7", network="203.0.113.0/24"
        ),
        world.click("09:03", campaign=META, platform="meta", page="shop.example/a", client="beta"),
        world.click("09:04", campaign=META, platform="meta", page="shop.example/b", client="beta"),
        world.click("09:05", campaign=META, platform="meta", page="shop.example/b", client="beta", user_agent=MAC),
    ]
    for number in (0, 1, 3, 4):
        world.conversion("09:30", click_id=clicks[number], value_micros=10_000_000, currency="USD")
    for group, device, cost in (("a", "mobile", 10), ("a", "desktop", 20), ("b", "mobile", 30)):
        fact_id = f"spend:google:{group}:{device}"
        world.spend(
            "09:00", cost, known="11:00", ad_group=f"google:1:{group}", device=device, clicks=1, fact_id=fact_id
        )
    world.spend("09:00", 1, known="11:00", campaign=META, clicks=3)
    world.settle("12:00")
    return world


def test_what_the_platform_tells_is_the_values_and_the_rest_is_a_row_of_its_own(two_platforms: World) -> None:
    groups = by(two_platforms, "ad_group")
    told = groups["google:1:a"]
    assert (told["cost"]["spend"], told["cost"]["told"], told["live"]["roas"]) == ("30.00", True, pytest.approx(2 / 3))
    assert (told["campaign"], told["platform"], told["apportioned"]["spend"]) == ("google:1:2", "google", "30.00")
    assert groups["google:1:b"]["live"]["roi"] == -1.0
    # Meta's clicks name no ad group; its spend is nobody's, so theirs is not known.
    assert (groups[""]["clicks"], groups[""]["cost"]["told"], groups[""]["live"]["roas"]) == (3, False, None)
    assert (groups[NOT_TOLD]["cost"]["spend"], groups[NOT_TOLD]["clicks"]) == ("1.00", 0)
    devices = by(two_platforms, "device")
    # Google's spend on phones is told, Meta's is not: the sum would flatter.
    assert (devices["mobile"]["cost"]["spend"], devices["mobile"]["live"]["cost_per_conversion"]) == ("40.00", None)
    assert devices["mobile"]["apportioned"]["spend"] == "40.666667"  # two of Meta's three clicks
    assert devices["desktop"]["apportioned"]["spend"] == "20.333333"
    assert devices[NOT_TOLD]["apportioned"]["spend"] == "0.00"
    pages = by(two_platforms, "page")
    assert (pages[NOT_TOLD]["cost"]["spend"], pages["shop.example/a"]["cost"]["spend"]) == ("61.00", "0.00")
    # 2 of Google's 3 clicks of $60, 1 of Meta's 3 of $1.
    assert pages["shop.example/a"]["apportioned"]["cost_per_conversion"] == "13.444444"
    clients = by(two_platforms, "client")
    assert {name: (row["clicks"], row["cost"]["spend"]) for name, row in clients.items()} == {
        "acme": (3, "60.00"),
        "beta": (3, "0.00"),
        "": (0, "1.00"),
    }
    only = two_platforms.keys.add("acme", scopes=["read"], clients=["acme"])
    assert set(by(two_platforms, "ad_group", key=only)) == {"google:1:a", "google:1:b"}
    countries = by(two_platforms, "country")
    assert {name: (row["clicks"], row["outcome"]["conversions"]) for name, row in countries.items()} == {
        "AT": (5, 4),
        "": (1, 0),
        NOT_TOLD: (0, 0),
    }
    # Whatever they are told by, the sums are the same.
    for name in DIMENSIONS:
        rows = by(two_platforms, name)
        assert sum(row["clicks"] for row in rows.values()) == 6, name
        assert sum(row["outcome"]["conversions"] for row in rows.values()) == 4, name
        assert _micros(rows, "outcome", "value") == 40_000_000, name
        assert _micros(rows, "cost", "spend") == 61_000_000, name
        if rows[next(iter(rows))]["apportioned"] is not None:
            assert _micros(rows, "apportioned", "spend") == 61_000_000, name


def test_modelled_spend_stands_where_it_will_be_told_and_old_answers_do_not_change(two_platforms: World) -> None:
    two_platforms.click("11:30", ad_group="google:1:b")
    two_platforms.click("11:31", campaign=META, platform="meta")
    two_platforms.settle("12:10")
    groups = by(two_platforms, "ad_group")
    assert (groups["google:1:b"]["cost"]["modelled"], groups["google:1:b"]["cost"]["basis"]) == ("20.00", "both")
    assert groups[NOT_TOLD]["cost"]["modelled"] == "0.333333"
    before = two_platforms.get("/roi", by="device", as_of="11:59", **DAY)
    two_platforms.click("09:06", known="12:20")
    two_platforms.spend("09:00", 99, known="12:30", device="tablet", fact_id="spend:google:late")
    two_platforms.settle("12:40")
    assert two_platforms.get("/roi", by="device", as_of="11:59", **DAY) == before
    assert "tablet" in by(two_platforms, "device")


def test_a_dimension_that_there_is_not_is_refused_with_those_there_are(world: World) -> None:
    assert "ad_group" in world.get("/roi", by="colour", status=422)["detail"]


def test_a_campaign_belongs_to_the_client_that_a_person_named_else_to_the_platforms(world: World) -> None:
    world.campaign("08:00", client="told by the platform")
    world.campaign("08:10", client="acme", source="push")
    world.campaign("08:20", client="told later")
    world.campaign("08:30", client="", source="push", campaign=META)
    world.campaign("08:40", client="beta", campaign=META)
    world.settle("12:00")
    asked = {"as_of": moment("08:05")}, {"as_of": moment("08:15")}, {"as_of": moment("12:00")}
    full, short = (
        [world.store.rows(f"SELECT campaign, client FROM {view}(as_of={{as_of:Int64}}) {rest}", at) for at in asked]
        for view, rest in (
            ("campaign_as_of", "WHERE client != '' ORDER BY campaign"),
            ("campaign_client_as_of", "ORDER BY campaign"),
        )
    )
    assert full == short
    assert [[row["client"] for row in rows] for rows in short] == [["told by the platform"], ["acme"], ["acme", "beta"]]


def test_shares_are_whole_sum_to_the_total_and_ties_go_to_the_first() -> None:
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(5, [3, 0, 2]) == [3, 0, 2]
    assert (apportion(7, [0, 0]), apportion(-10, [1, 2])) == ([0, 0], [-3, -7])
    with pytest.raises(ValueError, match="negative"):
        apportion(1, [-1])
