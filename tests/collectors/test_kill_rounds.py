"""Readers of all sources, killed again and again wherever they are during a back-fill of 90 days: nothing is lost, and what comes twice
is equal. Minutes: `make test-long PART=collectors`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collectors import registry
from core.clock import DAY_MS
from core.records import Record
from tests.collectors.every_source import (
    SECTIONS,
    TOY,
    TOY_CASE,
    TOY_SOURCE,
    Parts,
    runner_of,
    settings_of,
    source_of,
    written_by,
)
from tests.collectors.killed_readers import Plan
from tests.collectors.sandboxes.cases import CASES, Case, build_case

ROUNDS = int(os.environ.get("KILL_ROUNDS", "20"))
CHANGES: dict[str, Any] = {"backfill_s": 90 * 86_400, "window_s": 86_400, "deadline_s": 300, "restatement_s": 0}

pytestmark = [pytest.mark.long, pytest.mark.timeout(300 + 20 * ROUNDS)]


def numbers(case: Case) -> range:
    """Days ago on which something happens, as far back as the vendor can be asked."""
    return range(1, min(case.reach_days, 90), 2)


@pytest.fixture
def cases(tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Case]]:
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    monkeypatch.setitem(CASES, TOY, TOY_CASE)
    made = [build_case(name, tmp_path / name, clock) for name in SECTIONS]
    made = [case for case in made if case.history]
    for case in made:
        case.start()
        for number in numbers(case):
            case.add(number, ts=clock.now - number * DAY_MS)
    yield made
    for case in made:
        case.stop()


def test_readers_killed_again_and_again_read_everything(
    cases: list[Case], tmp_path: Path, journal: Any, control: Any, clock: Any, journaled: Callable[[], list[Record]]
) -> None:
    settings = [settings_of(case, **CHANGES) for case in cases]
    plan = tmp_path / "plan.json"
    plan.write_bytes(
        msgspec.json.encode(Plan(directory=str(tmp_path), now=clock.now, settings=settings, stand_still=False))
    )
    chance = random.Random()
    for _ in range(ROUNDS):
        _read_for(plan, seconds=chance.uniform(0.0, 2.0))
    runner = runner_of([source_of(one) for one in settings], Parts(journal, control, None, clock))
    runner.run_once(clock.now)
    runner.stop()
    assert {status.source: status.detail for status in runner.statuses() if status.state != "complete"} == {}
    for case in cases:
        own = written_by(case, journaled())
        assert set(case.seen(own)) == set(numbers(case)), case.section
        assert _changed(own) == {}, case.section
    print(f"{ROUNDS} kills, {len(cases)} sources, {len(journaled())} lines")


def _read_for(plan: Path, *, seconds: float) -> None:
    """A process of readers, killed so long after it began to read."""
    command = [sys.executable, "-m", "tests.collectors.killed_readers", str(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.kill()


def _changed(records: list[Record]) -> dict[str, int]:
    """Facts that came in more than one version, though nothing changed at the vendors."""
    versions: dict[str, set[bytes]] = defaultdict(set)
    for record in records:
        if hasattr(record, "fact_id") and type(record).__name__ != "Campaign":
            versions[record.fact_id].add(msgspec.json.encode(record))
    return {fact_id: len(seen) for fact_id, seen in versions.items() if len(seen) > 1}
