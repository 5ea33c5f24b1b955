"""The situations that the product is bought for, in a small world with names of its own, through journal, shipper and matching."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.incidents import IncidentPayload
from correlator.detection.engine import exposure_differs, scan_exposure
from tests.correlator.detection.conftest import World, copy_of
from tests.databases import Databases

pytestmark = pytest.mark.slow

MINUTE = 60_000
ROSES = "garden.test/roses"


def payloads(world: Any) -> list[IncidentPayload]:
    return [msgspec.json.decode(row["payload"], type=IncidentPayload) for row in world.incidents()]


@pytest.fixture
def w(established: World, databases: Databases, tmp_path: Path) -> Iterator[World]:
    """A copy of the established shop, with its correlator and detection in full run."""
    with copy_of(established, databases, tmp_path) as copied:
        yield copied


def first(world: Any, fault: Any, *, within_s: float, then_minutes: float = 0.0) -> IncidentPayload:
    """The one incident, opened in time, as it stands a little later."""
    world.run(within_s / 60, until=lambda: bool(world.incidents()))
    opened = payloads(world)
    assert opened, f"no incident within {within_s} s of the onset"
    assert world.clock.now - fault.start <= within_s * 1000
    world.run(then_minutes, every_s=30)
    [incident] = payloads(world)
    assert incident.incident_id == opened[0].incident_id
    return incident


def test_a_bad_deploy_on_one_device(w: Any) -> None:
    w.deploy("search", "9.1")
    w.run(0.5)
    w.deploy("shop", "2.1")
    fault = w.breaks(after_s=25, order_fails=lambda ad, device: 0.8 if (device, ad.page) == ("mobile", ROSES) else 0.0)
    w.run(0.6)
    w.deploy("mail", "4.0")
    told = first(w, fault, within_s=120)
    assert told.verdict == "site_failing"
    assert told.scope == {"device": "mobile", "page": ROSES}
    assert {c.campaign for c in told.campaigns} == {"google:501:1", "meta:502:1", "microsoft:503:1"}
    assert all(c.loses_sales and 0.4 < c.scope_share < 0.7 for c in told.campaigns)
    assert (told.deploys[0].service, told.deploys[0].version) == ("shop", "2.1")
    assert told.deploys[0].score > 0.9
    assert told.hypothesis == "arrival"
    assert abs(told.onset - fault.start) <= 20_000
    assert len({trace.click_id for trace in told.traces}) == 3
    assert {trace.route for trace in told.traces} == {"POST /order"}
    assert {"route_errors", "form_error"} <= {e.name for e in told.evidence if e.verdict == "site_failing"}
    assert told.lost_share_low < 0.8 < told.lost_share_high
    # Mobile clicks on the page at 0.90 dollars each.
    clicks_per_hour = 40 * 3600 * 3.0 / 7.0 * 0.55
    assert told.cost.exposed_per_hour_micros == pytest.approx(clicks_per_hour * 900_000, rel=0.15)
    assert not told.infrastructure_healthy


def test_a_page_that_became_slow(w: Any) -> None:
    w.deploy("shop", "2.1")
    fault = w.breaks(
        after_s=20,
        slower_s=lambda ad: 6.0 if ad.page == ROSES else 0.0,
        keeps=lambda ad, device: 0.65 if ad.page == ROSES else 1.0,
    )
    told = first(w, fault, within_s=180, then_minutes=1)
    assert told.verdict == "site_slow"
    assert told.scope == {"page": ROSES}
    assert told.deploys[0].service == "shop"
    assert all(c.break_even_rate is not None and c.rate > c.break_even_rate for c in told.campaigns)


def test_a_redirect_that_answers_503(w: Any) -> None:
    w.deploy("redirect", "c7", change="config")
    broken = {"google:501:2", "meta:502:2", "microsoft:503:2", "meta:502:3"}
    fault = w.breaks(after_s=10, redirect_fails=lambda ad: ad.campaign in broken)
    told = first(w, fault, within_s=120, then_minutes=2.5)
    assert told.verdict == "redirect_failing"
    assert {c.campaign for c in told.campaigns} == broken
    assert {c.campaign for c in told.campaigns if c.loses_sales} == broken - {"google:501:2"}
    assert told.deploys[0].change == "config"
    assert told.lost_share > 0.6
    assert told.rate_high < min(c.break_even_rate or 1 for c in told.campaigns)
    assert told.clicks > 1000


def test_a_tracking_outage(w: Any) -> None:
    w.deploy("tags", "t3", change="tag")
    fault = w.breaks(after_s=10, untracked=lambda ad: True)
    told = first(w, fault, within_s=120, then_minutes=1)
    assert told.verdict == "tracking_broken"
    assert told.cost.wasted_micros == 0
    assert not any(c.loses_sales for c in told.campaigns)
    assert "Do not pause" in told.sentence


def test_a_tracking_outage_on_one_page(w: Any) -> None:
    fault = w.breaks(after_s=10, untracked=lambda ad: ad.page == ROSES)
    told = first(w, fault, within_s=150, then_minutes=1)
    assert told.verdict == "tracking_broken"
    assert told.scope == {"page": ROSES}


def test_a_flood_of_robots(w: Any) -> None:
    w.deploy("shop", "2.1")
    fault = w.breaks(after_s=10, flood=lambda ad: 10.0 if ad.campaign == "meta:502:2" else 1.0)
    told = first(w, fault, within_s=150, then_minutes=1)
    assert told.verdict == "traffic_changed"
    assert told.scope == {"campaign": "meta:502:2"}
    assert (told.cost.wasted_per_hour_micros, told.lost_share) == (
        0,
        0.0,
    )  # whether the platform charges is not known yet
    assert "up to" in told.sentence
    assert not any(c.loses_sales for c in told.campaigns)
    assert told.deploys[0].score < 0.1


def test_an_innocent_deploy(w: Any) -> None:
    w.deploy("shop", "2.1")
    w.run(2)
    w.run(2, every_s=30)
    assert w.incidents() == []


@pytest.mark.long  # a minute of processor time; tests/end_to_end/test_click_to_pause.py mends one while paused in every run
def test_a_fault_that_is_mended_while_its_campaigns_are_paused(w: Any) -> None:
    w.deploy("shop", "2.1")
    fault = w.breaks(after_s=5, order_fails=lambda ad, device: 0.9 if (device, ad.page) == ("mobile", ROSES) else 0.0)
    told = first(w, fault, within_s=120)
    w.paused |= {c.campaign for c in told.campaigns if c.platform != "microsoft"}
    w.run(1)
    assert w.incidents()[0]["state"] == "open"  # nothing is mended yet, however quiet the scope became
    w.deploy("shop", "2.2", change="rollback")
    fault.end = w.clock.now
    w.run(3, until=lambda: w.incidents()[0]["state"] == "recovering")
    [told] = payloads(w)
    assert told.recovery is not None
    assert told.recovery.recovered
    assert told.recovery.deploy == "shop 2.2"
    assert told.recovery.since >= fault.end - MINUTE
    w.paused.clear()
    w.run(4, until=lambda: w.incidents()[0]["state"] == "closed")
    assert w.incidents()[0]["state"] == "closed"
    w.run(1.5)
    assert (
        len(w.incidents()) == 1
    )  # the return of the campaigns is no incident, and neither is what the fault left behind
    assert w.detection.exposure_check()() < 0.01  # leaves that started afresh count from there


def test_a_restart_in_the_middle_of_an_incident_neither_loses_nor_doubles_it(w: Any) -> None:
    fault = w.breaks(after_s=5, order_fails=lambda ad, device: 0.9 if device == "mobile" else 0.0)
    before = first(w, fault, within_s=120)
    w.monitor()
    w.run(1)
    w.run(1, every_s=30)
    [after] = payloads(w)
    assert after.incident_id == before.incident_id
    assert after.observed >= before.observed


def test_the_running_exposure_equals_a_full_scan(w: Any) -> None:
    state = w.detection.exposure
    scanned = scan_exposure(
        w.store, closed=state.closed, horizon_ms=state.horizon_ms, types=["order", "lead"], origin="backend"
    )
    assert state.clicks.sum() > 3000
    assert exposure_differs(state, scanned) == 0.0
    assert w.detection.exposure_check()() == 0.0
    state.clicks[0] *= 2
    assert w.detection.exposure_check()() > 0.01


def test_an_import_that_is_half_loaded_at_the_first_tick_is_counted_whole(world: Any) -> None:
    w = world()
    records = w.past_records(days=2, per_s=0.2)
    middle = len(records) // 2
    for half in (records[:middle], records[middle:]):
        w.load(half)
        w.step()
    w.run(2, every_s=30)
    state = w.detection.exposure
    scanned = scan_exposure(
        w.store, closed=state.closed, horizon_ms=state.horizon_ms, types=["order", "lead"], origin="backend"
    )
    assert state.clicks.sum() > 17_000
    assert exposure_differs(state, scanned) == 0.0
    assert state.converted.sum() == scanned.converted.sum() > 500
