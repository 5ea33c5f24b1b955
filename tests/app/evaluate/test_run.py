"""A plan runs, can be stopped and gone on with, and prints nothing that it did not measure."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from app.evaluate.plan import FULL, QUICK, Plan, clean_tasks, incident_tasks, seeds_of
from app.evaluate.report import figures, thresholds
from app.evaluate.run import State, run
from app.evaluate.scoring import delays_of, episodes, lower_bound, per_month, share
from core.errors import Invalid

TINY = Plan(seeds=[3], ideal_clicks=[], ideal_months=0, ideal_runs=0, campaigns=1, days=1, incidents=1, stress_fleets=0, stress_days=0)  # fmt: skip


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "state.jsonl"
    told: list[str] = []
    first = run(TINY, workers=1, state=kept, progress=lambda done, total, name: told.append(f"{done}/{total} {name}"))
    assert told == ["1/2 clean", "2/2 incident"]
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # killed while it wrote the last line
    told.clear()
    assert run(TINY, workers=1, state=kept, progress=lambda *step: told.append(str(step[0]))) == first
    assert told == ["2"]
    measured = msgspec.to_builtins(figures(TINY, first))
    assert measured["realistic"]["incidents"] == 1
    assert measured["realistic"]["false_alarms"]["months"] == pytest.approx(1 / 30, abs=1e-4)
    assert any("un-pause" in what for what in measured["not_measured"])
    levels = thresholds(TINY, first)["realistic"]
    healthy = first[clean_tasks(TINY)[0].key]
    for rule, told_by in measured["realistic"]["rules"].items():
        assert levels[rule]["matched"] == told_by["matched"]["threshold"]
        assert told_by["matched"]["false_alarms"]["events"] <= healthy["shipped"]
    other = msgspec.structs.replace(TINY, seeds=[4])
    assert State(kept, plan=other).results == {}, "another plan's results are not these"


def test_seeds_are_numbers_and_ranges() -> None:
    assert seeds_of("1000-1003, 7") == [1000, 1001, 1002, 1003, 7]
    for wrong in ("", "x", "5-", "9-3"):
        with pytest.raises(Invalid):
            seeds_of(wrong)


def test_the_full_plan_is_as_large_as_promised() -> None:
    assert len(FULL.seeds) * FULL.days * FULL.campaigns / 30 >= 500
    assert sum(task.name == "incident" for task in incident_tasks(FULL)) >= 2000
    for plan in (QUICK, FULL):
        assert min(plan.seeds) >= 1000, "development seeds are not reported"
        keys = [task.key for task in (*clean_tasks(plan), *incident_tasks(plan))]
        assert len(keys) == len(set(keys))


def test_an_episode_lasts_an_hour_from_its_first_alarm() -> None:
    alarms = np.zeros((2, 300), dtype=bool)
    alarms[0, [10, 11, 69, 70, 140]] = True
    alarms[1, 299] = True
    assert np.argwhere(episodes(alarms)).tolist() == [[0, 10], [0, 70], [0, 140], [1, 299]]


def test_intervals_are_exact() -> None:
    # Textbook values: 3 events, Poisson 95 %: 0.6187 to 8.7673; 0 of 20, binomial 95 %: at most 0.1684.
    assert (per_month(3, 1.0).low, per_month(3, 1.0).high) == pytest.approx((0.6187, 8.7673), abs=1e-4)
    assert per_month(0, 2.0).high == pytest.approx(3.6889 / 2, abs=1e-4)
    assert (share(0, 20).low, share(0, 20).high) == pytest.approx((0.0, 0.1684), abs=1e-4)
    assert share(0, 0).share is None
    assert lower_bound(59, 59) == pytest.approx(0.9505, abs=1e-4)
    assert lower_bound(0, 0) is None


def test_what_was_missed_counts_at_the_longest_delay() -> None:
    told = delays_of([10.0, 20.0, np.inf], longest=100)
    assert (told.runs, told.missed, told.mean, told.median) == (3, 1, pytest.approx(43.33, abs=0.01), 20.0)
