"""One suite over every registered pull source: its real client over the vendor's wire protocol, the real journal, store and
control database. What differs between sources is in their cases alone (tests/collectors/sandboxes/cases.py)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from prometheus_client import REGISTRY

from collectors import registry
from collectors.versions import RECENT_MS
from core import retry
from core.clock import HOUR_MS
from core.http_client import HttpClient
from core.records import Record
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import Store, open_store
from tests.collectors.every_source import (
    ENDLESS,
    SECTIONS,
    TOY,
    TOY_CASE,
    TOY_SOURCE,
    Parts,
    World,
    endless_listener,
    eventually,
    registered,
    runner_of,
    secrets_of,
    settings_of,
    source_of,
    written_by,
)
from tests.collectors.killed_readers import Plan
from tests.collectors.sandboxes.cases import CASES, Case, build_case, case_type
from tests.collectors.toy.sandbox import ToyCase
from tests.conftest import Ship


@pytest.fixture(scope="module")
def shared_store(engine_dir: Path) -> Iterator[Store]:
    """One database for the whole suite: making one takes longer than most of its tests."""
    opened = open_store(StoreConfig(), engine_dir, database=f"test_{uuid4().hex}")
    yield opened
    opened.command(f"DROP DATABASE {opened.database} SYNC")
    opened.close()


@pytest.fixture
def store(shared_store: Store) -> Store:
    return shared_store


@pytest.fixture
def ship(store: Store, control: Any, journal_dir: Path, clock: Any) -> Iterator[Ship]:
    """Ships into the shared database, which is empty again afterwards."""
    yield Ship(lambda: Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock))
    used = store.rows(
        "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND active AND table NOT LIKE '%store%'"
    )
    for row in used:
        store.command(f"TRUNCATE TABLE {row['table']} SYNC")


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One source more, and clients that do not wait between their attempts."""
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    monkeypatch.setitem(CASES, TOY, TOY_CASE)
    monkeypatch.setitem(retry.call.__kwdefaults__ or {}, "sleep", lambda _seconds: None)


@pytest.fixture
def parts(journal: Any, control: Any, store: Store, clock: Any) -> Parts:
    return Parts(journal, control, store, clock)


#: Sources that a vendor answers; the others have the tests with `any_world`, and their own of what they look at.
OF_VENDORS = [name for name in SECTIONS if name == TOY or case_type(name).vendor]


def those_that(trait: str) -> pytest.MarkDecorator:
    """The test runs for the vendors whose case has this trait."""
    cases = [name for name in OF_VENDORS if getattr(ToyCase if name == TOY else case_type(name), trait)]
    return pytest.mark.parametrize("world", cases, indirect=True)


@pytest.fixture
def open_world(
    tmp_path: Path, with_toy: None, parts: Parts, journaled: Callable[[], list[Record]]
) -> Iterator[Callable[[str], World]]:
    opened: list[World] = []

    def make(section: str) -> World:
        case = build_case(section, tmp_path / section, parts.clock)
        case.start()
        opened.append(World(case, parts, journaled))
        return opened[-1]

    yield make
    for world in opened:
        world.runner.stop()
        world.case.stop()


@pytest.fixture(params=OF_VENDORS)
def world(request: pytest.FixtureRequest, open_world: Callable[[str], World]) -> World:
    return open_world(request.param)


@pytest.fixture(params=SECTIONS)
def any_world(request: pytest.FixtureRequest, open_world: Callable[[str], World]) -> World:
    return open_world(request.param)


@pytest.fixture
def all_cases(tmp_path: Path, with_toy: None, clock: Any) -> Iterator[list[Case]]:
    cases = [build_case(name, tmp_path / name, clock) for name in SECTIONS]
    for case in cases:
        case.start()
    yield cases
    for case in cases:
        case.stop()


def test_every_source_has_a_case() -> None:
    assert registered() == {*CASES} - {TOY}


def test_what_happened_is_journaled_for_its_client_with_a_watermark(world: World) -> None:
    world.add(7, ago_h=5)
    world.add(9, ago_h=30)
    world.run()
    assert world.status.detail == ""
    assert world.state == "complete"
    assert sorted(world.seen()) == [7, 9]
    # A kind without a client of its own belongs to its campaign's.
    assert {getattr(record, "client", "acme") for record in world.facts()} == {"acme"}
    (mark,) = world.marks()
    assert mark.source == world.status.source
    assert (mark.complete_through, mark.documented_lag_s) == (
        world.clock.now - world.case.lag_s * 1000,
        world.case.lag_s,
    )
    assert world.told() == ["complete"]


def test_an_unchanged_re_read_changes_nothing(world: World, ship: Ship) -> None:
    world.add(7, ago_h=5)
    world.run()
    before = len(world.facts())
    world.run(after_s=60)
    ship()
    world.clock.advance(RECENT_MS)  # from here on only the store remembers
    world.run(after_s=900)
    assert world.facts()[before:] == []
    assert len(world.marks()) == 2
    assert world.status.rows_written < world.status.rows_read


def test_a_restart_repeats_without_doubling(world: World, ship: Ship) -> None:
    world.add(7, ago_h=5)
    world.run()
    ship()
    before = len(world.facts())
    world.clock.advance(RECENT_MS + 900_000)
    world.restart()
    assert world.status.complete_through > 0, "the position survived"
    world.run()
    assert world.facts()[before:] == []


@those_that("lag_s")
def test_what_is_shown_late_comes_in_by_a_later_read(world: World) -> None:
    world.add(7)
    world.run()
    assert world.seen() == []
    world.run(after_s=world.case.lag_s + 3600)
    assert world.seen() == [7]


@those_that("restates")
def test_a_changed_figure_is_a_new_version_of_the_same_fact(world: World, ship: Ship, store: Store) -> None:
    world.add(1000, ago_h=4)
    world.run()
    ship()
    (first,) = [record for record in world.facts() if world.case.seen([record])]
    kind, fact = first.__struct_config__.tag, {"id": first.fact_id}  # type: ignore[attr-defined]

    def held(as_of: int) -> list[dict[str, Any]]:
        """The fact as it was known at a moment; nobody asks that of a gauge."""
        if kind == "gauge":
            return []
        return store.rows(f"SELECT * FROM {kind}_as_of(as_of={as_of}) WHERE fact_id = {{id:String}}", fact)

    began, before = world.clock.now, held(world.clock.now)
    world.case.restate(1000)
    world.run(after_s=86_400 + 3600)
    *_, last = [record for record in world.facts() if world.case.seen([record])]
    assert first.fact_id == last.fact_id  # type: ignore[attr-defined]
    assert first != last
    ship()
    versions = store.rows(f"SELECT count() AS n FROM {kind} WHERE fact_id = {{id:String}}", fact)
    assert versions[0]["n"] == len(world.seen())
    assert held(began) == before, "as it was known then"
    assert kind == "gauge" or (len(before), len(held(world.clock.now))) == (1, 1)
    assert kind == "gauge" or held(world.clock.now) != before


def test_unreachable_the_watermark_stands_still_and_resumes(world: World) -> None:
    world.run()
    through = world.status.complete_through
    world.case.behaviour.outage = True
    for _ in range(3):
        world.run(after_s=900)
    assert len(world.marks()) == 1
    assert (world.state, world.status.complete_through) == ("behind", through)
    assert world.status.consecutive_failures == 3
    assert world.told()[:2] == ["complete", "behind"]
    world.case.behaviour.outage = False
    world.run(after_s=900)
    assert world.state == "complete"
    assert world.marks()[-1].complete_through > through


def test_a_server_error_in_between_is_retried_within_the_run(world: World) -> None:
    world.add(7, ago_h=5)
    world.case.behaviour.server_errors = 2
    world.run()
    assert world.state == "complete"
    assert world.seen() == [7]


def test_quota_is_waited_out_as_long_as_told(world: World) -> None:
    world.case.behaviour.quota_errors = 1
    world.case.behaviour.retry_after_s = 3600
    world.run()
    assert world.state == "quota"
    assert world.status.next_attempt == world.clock.now + 3_600_000
    world.run(after_s=1800)
    assert world.marks() == [], "not asked before the time"
    world.run(after_s=1800)
    assert world.state == "complete"


def test_garbage_is_no_data(world: World) -> None:
    """Every answer is cut in the middle: nothing counts as read, and nothing is lost when it is over."""
    world.add(7, ago_h=5)
    world.case.behaviour.garbage = 10_000
    world.run()
    assert world.state in ("behind", "stopped", "partial")
    assert (world.seen(), world.marks()) == ([], [])
    world.case.behaviour.garbage = 0
    world.run(after_s=3600)
    assert world.state == "complete"
    assert world.seen() == [7]


@pytest.mark.parametrize("world", [name for name in OF_VENDORS if not name.startswith("google_ads")], indirect=True)
def test_a_vendor_that_goes_away_between_any_two_calls_costs_no_row_and_no_watermark(
    world: World, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More calls are answered each time, until all of a read's are. (Google Ads answers a read by one stream.)"""
    for number in (7, 9, 11):
        world.add(number, ago_h=number)
    world.case.behaviour.page_size = 1
    request, cut = HttpClient.request, 0
    while world.state != "complete":
        answered = iter(range(1 + cut))

        def and_then_away(client: HttpClient, *what: Any, left: Iterator[int] = answered, **how: Any) -> Any:
            world.case.behaviour.outage = next(left, None) is None
            return request(client, *what, **how)

        monkeypatch.setattr(HttpClient, "request", and_then_away)
        assert world.marks() == []
        world.run(after_s=900)
        ship()
        cut += 1 + cut // 3
        assert cut < 200, world.status.detail
    assert cut > 1
    assert sorted(world.seen()) == [7, 9, 11]


def test_wrong_credentials_stop_the_source_until_they_are_mended_in_their_file(world: World, capfd: Any) -> None:
    known = secrets_of(world.case)
    assert known
    world.case.lock_out()
    world.run()
    assert world.state == "stopped"
    assert world.status.detail
    assert REGISTRY.get_sample_value("clicktrace_source_stopped", {"source": world.status.source}) == 1
    world.run(after_s=900)
    assert world.status.last_attempt < world.clock.now, "left alone for an hour"
    world.case.let_in()
    world.run(after_s=2700)
    assert world.state == "complete", world.status.detail
    said = "".join(capfd.readouterr()) + repr(world.told()) + world.status.detail
    assert not [secret for secret in known | secrets_of(world.case) if secret in said]


@pytest.mark.parametrize("says", [b"", ENDLESS], ids=["nothing", "a byte at a time"])
def test_a_hanging_vendor_is_left_at_the_deadline(world: World, says: bytes) -> None:
    world.case.stop()
    with endless_listener(world.case.endpoint, says=says):
        world.restart(deadline_s=1, call_timeout_s=0.4)
        started = time.monotonic()
        world.run()
        assert time.monotonic() - started < 4
    assert world.state == "behind"
    assert world.marks() == []


def test_reading_in_the_background_starts_and_stops_in_any_state(any_world: World) -> None:
    any_world.runner.start()
    any_world.runner.start()
    eventually(lambda: any_world.status.last_success > 0)
    any_world.runner.stop()
    any_world.runner.stop()
    assert any_world.state == "complete"
    assert not [thread for thread in threading.enumerate() if thread.name == "collectors"]


def test_the_metrics_say_the_same(any_world: World) -> None:
    any_world.run()
    labels = {"source": any_world.status.source}
    through = REGISTRY.get_sample_value("clicktrace_source_complete_through_seconds", labels)
    assert through == any_world.status.complete_through / 1000
    assert REGISTRY.get_sample_value("clicktrace_source_stopped", labels) == 0
    success = REGISTRY.get_sample_value("clicktrace_source_last_success_timestamp_seconds", labels)
    assert success == any_world.clock.now / 1000
    # Three intervals of a quarter of an hour are less than the hour that a source has at least.
    assert REGISTRY.get_sample_value("clicktrace_source_overdue_after_seconds", labels) == 3600


@those_that("history")
def test_ninety_days_are_filled_back_in_windows_over_an_interruption(world: World, ship: Ship) -> None:
    """The vendor fails in the middle; after a restart only what was not read yet is asked for, and nothing comes twice."""
    reach = world.case.reach_days
    changes = {"backfill_s": reach * 86_400, "window_s": reach * 86_400 // 9, "deadline_s": 60}
    numbers = list(range(1, reach, 4))
    for day in numbers:
        world.add(day, ago_h=24.0 * day)
    world.restart(**changes)
    world.break_after(windows=2)
    world.run()
    assert world.state == "behind", world.status.detail
    assert world.marks() == []
    assert 0 < len(world.seen()) < len(numbers)
    _vendor_comes_back(world, ship, **changes)
    world.break_after(windows=4)
    world.run()
    assert world.state == "behind", world.status.detail
    # The newest 30 days are there by now, and the watermark says nothing of older ones.
    assert bool(world.marks()) == (reach > 30)
    assert len(world.seen()) < len(numbers)
    _vendor_comes_back(world, ship, **changes)
    world.run()
    assert sorted(world.seen()) == numbers
    assert world.state == "complete"


def _vendor_comes_back(world: World, ship: Ship, **changes: int) -> None:
    world.case.behaviour.outage = False
    ship()
    world.clock.advance(RECENT_MS)
    world.restart(**changes)


def test_killed_readers_go_on_without_losing_or_doubling(
    all_cases: list[Case], parts: Parts, tmp_path: Path, ship: Ship, journaled: Callable[[], list[Record]]
) -> None:
    """SIGKILL of a process that reads all sources, at the moment when their rows are journaled and their positions not yet saved."""
    with_past = [case for case in all_cases if case.history]
    for case in with_past:
        case.add(7, ts=parts.clock.now - 47 * HOUR_MS)
        case.add(9, ts=parts.clock.now - 20 * HOUR_MS)
    told = _read_and_kill(
        Plan(directory=str(tmp_path), now=parts.clock.now, settings=[settings_of(case) for case in all_cases]), tmp_path
    )
    assert len(told) == len(all_cases)
    for case in with_past:
        assert 7 in case.seen(written_by(case, journaled())), f"{case.section}: nothing was journaled before the kill"
    ship()
    parts.clock.advance(RECENT_MS)
    runner = runner_of([source_of(settings_of(case)) for case in all_cases], parts)
    runner.run_once(parts.clock.now)
    runner.stop()
    assert {status.source: status.state for status in runner.statuses() if status.state != "complete"} == {}
    for case in with_past:
        assert sorted(case.seen(written_by(case, journaled()))) == [7, 9], case.section


def _read_and_kill(plan: Plan, directory: Path) -> set[str]:
    """Kill the readers once all of them stand still; answers what they were about to save."""
    file = directory / "plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "tests.collectors.killed_readers", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        watchdog = threading.Timer(60, child.kill)
        watchdog.start()
        told: set[str] = set()
        for line in child.stdout:
            told |= {line.strip()} if line.startswith("position:") else set()
            if len(told) == len(plan.settings):
                break
        watchdog.cancel()
        child.kill()
    return told
