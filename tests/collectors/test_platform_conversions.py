"""Conversions that a platform credits elsewhere later, for every platform that tells its own count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.records import Record, Tally
from core.store.client import Store
from tests.collectors.every_source import Parts, World
from tests.collectors.sandboxes.ad_accounts import MetaConversionsCase
from tests.collectors.sandboxes.cases import build_case
from tests.collectors.sandboxes.google_parts import GoogleConversionsCase
from tests.conftest import Ship


@pytest.fixture(params=["google_ads.conversions", "meta_ads.conversions"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    journal: Any,
    control: Any,
    store: Store,
    clock: Any,
    journaled: Callable[[], list[Record]],
) -> Iterator[World]:
    case = build_case(request.param, tmp_path / "vendor", clock)
    case.start()
    world = World(case, Parts(journal, control, store, clock), journaled)
    yield world
    world.runner.stop()
    case.stop()


def test_a_conversion_that_is_credited_elsewhere_becomes_zero_where_it_was(world: World, ship: Ship) -> None:
    world.add(7, ago_h=20.0)
    world.add(8, ago_h=20.0)
    world.run()
    before = {tally.campaign: tally.count for tally in tallies(world) if "7" in (tally.name[-1], tally.campaign[-1])}
    ((campaign, count),) = before.items()
    assert count == 1.0
    ship()
    assert isinstance(world.case, GoogleConversionsCase | MetaConversionsCase)
    world.case.credit_elsewhere(7)
    world.run(after_s=3600)
    now = {tally.fact_id: tally for tally in tallies(world)}
    assert sorted(tally.count for tally in now.values()) == [0.0, 1.0, 1.0], "once more, and never twice"
    (gone,) = [tally for tally in now.values() if not tally.count]
    assert (gone.campaign, gone.value_micros) == (campaign, 0)


def tallies(world: World) -> list[Tally]:
    return [record for record in world.facts() if isinstance(record, Tally)]
