"""What the ad platforms' spend and campaign states become, over both platforms' wires."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.demo.ad_account import IMPRESSIONS_PER_CLICK
from core.clock import HOUR_MS
from core.records import Campaign, Record, Spend
from tests.collectors.every_source import Parts, World
from tests.collectors.sandboxes.ad_accounts import AdAccountCase
from tests.collectors.sandboxes.cases import build_case


@pytest.fixture(params=["google_ads", "meta_ads"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    journal: Any,
    control: Any,
    clock: Any,
    journaled: Callable[[], list[Record]],
) -> Iterator[World]:
    case = build_case(request.param, tmp_path / request.param, clock)
    case.start()
    world = World(case, Parts(journal, control, None, clock), journaled)
    yield world
    world.runner.stop()
    case.stop()


def account_of(world: World) -> Any:
    assert isinstance(world.case, AdAccountCase)
    return world.case.sandbox.account


def test_spend_is_a_fact_of_its_campaign_hour_and_device(world: World) -> None:
    world.add(100, ago_h=5)
    world.run()
    (spend,) = [record for record in world.facts() if isinstance(record, Spend)]
    account = account_of(world)
    assert (spend.campaign, spend.clicks, spend.cost_micros) == (account.qualified("11"), 100, 50_000_000)
    assert spend.impressions == 100 * IMPRESSIONS_PER_CLICK
    hour = (world.clock.now - 5 * HOUR_MS) // HOUR_MS * HOUR_MS
    assert spend.fact_id == f"spend:{spend.campaign}:{hour}:3600:{spend.device}:::"
    assert world.status.source == f"{spend.source}:{account.account}"


def invalid_rows(world: World) -> float:
    labels = {"source": world.status.source, "outcome": "invalid"}
    return REGISTRY.get_sample_value("clicktrace_source_rows_total", labels) or 0.0


def test_one_malformed_row_is_counted_and_what_else_came_is_kept(world: World) -> None:
    for number in (1, 2, 3):
        world.add(number, ago_h=3.0 + number)
    world.case.behaviour.malformed_rows = 1
    before = invalid_rows(world)
    world.run()
    assert (world.state, len(set(world.seen()))) == ("complete", 2)
    assert invalid_rows(world) > before
    world.case.behaviour.malformed_rows = 0
    world.run(after_s=900)
    assert set(world.seen()) == {1, 2, 3}


def test_malformed_rows_in_bulk_keep_what_came_and_hold_the_watermark(world: World) -> None:
    for number in range(1, 9):
        world.add(number, ago_h=3.0 + number)
    world.case.behaviour.malformed_rows = 5
    world.run()
    assert (world.state, world.marks()) == ("partial", [])
    assert "rows were not understood" in world.status.detail
    assert world.seen()
    assert [finding.word for finding in world.status.findings] == ["invalid_rows"]
    world.case.behaviour.malformed_rows = 0
    world.run(after_s=900)
    assert (world.state, set(world.seen())) == ("complete", set(range(1, 9)))


def test_campaigns_come_with_name_status_and_client_and_a_pause_shows(world: World) -> None:
    world.run()
    states = [record for record in world.facts() if isinstance(record, Campaign)]
    assert {(state.name, state.status, state.client) for state in states} == {
        ("Spring", "enabled", "acme"),
        ("Autumn", "enabled", "acme"),
    }
    account_of(world).set_status("11", "paused")
    world.run(after_s=900)
    spring = [record.status for record in world.facts() if isinstance(record, Campaign) and record.name == "Spring"]
    assert spring == ["enabled", "paused"]
