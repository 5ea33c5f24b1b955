"""The tick: steps in order, only on what is new, timed, and safe to repeat."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine

from core.control.checkpoints import Checkpoints
from core.errors import StoreError
from core.store.client import Store
from correlator.arrivals import OVERLAP_MS, Front, Looked
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator
from correlator.steps import LATER_STEPS, STEPS, Step, Work

ALL = (*STEPS, *LATER_STEPS)


def test_the_steps_are_listed_in_the_order_in_which_they_feed_each_other() -> None:
    outputs = [step.output for step in ALL]
    for step in ALL:
        earlier = set(outputs[: outputs.index(step.output)])
        assert {table for table in step.inputs if table in outputs} <= earlier


def test_every_output_is_a_table_of_the_schema(store: Store) -> None:
    tables = {row["name"] for row in store.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
    assert {step.output for step in ALL if step.output} | {name for step in ALL for name in step.inputs} <= tables


def test_each_distinct_user_agent_is_parsed_once(world: Any) -> None:
    for _ in range(3):
        world.click("09:00")
    world.conversion("09:01", user_agent="curl/8.0")
    world.settle("09:02")
    world.click("09:03")
    world.settle("09:04")
    rows = world.store.rows(
        "SELECT user_agent, device, count() AS times FROM user_agent_dim GROUP BY ALL ORDER BY device"
    )
    assert [(row["device"], row["times"]) for row in rows] == [("bot", 1), ("mobile", 1)]


def test_further_steps_run_after_ours_and_everything_is_timed(world: Any, store: Store, control: Engine) -> None:
    order: list[str] = []
    correlator = Correlator(
        store, world.journal, Checkpoints(control, "t"), config=world.config, clock=world.clock,
        further=[("detection", lambda now: order.append(f"detection at {now}"))],
    )  # fmt: skip
    seconds = correlator.tick(5)
    assert list(seconds) == [
        *(step.name for step in STEPS),
        "learning",
        "detection",
        *(step.name for step in LATER_STEPS),
    ]
    assert order == ["detection at 5"]
    assert REGISTRY.get_sample_value("clicktrace_correlator_step_duration_seconds_count", {"step": "detection"})


def test_a_failing_step_ends_the_tick_and_is_repeated_by_the_next(world: Any, store: Store, control: Engine) -> None:
    calls: list[int] = []

    def stumble(work: Work) -> int:
        calls.append(work.since)
        if len(calls) == 1:
            raise StoreError("the engine is away")
        return 0

    steps = [Step(name="stumbling", inputs=(), output="", grain="", run=stumble)]
    further: list[int] = []
    correlator = Correlator(
        store, world.journal, Checkpoints(control, "t"), config=CorrelatorConfig(), clock=world.clock, steps=steps,
        further=[("detection", further.append)],
    )  # fmt: skip
    world.click("09:00")
    world.ship()
    with pytest.raises(StoreError):
        correlator.tick(1)
    assert (further, correlator.worked_through(10)) == ([], 0)
    correlator.tick(2)
    assert (further, calls, correlator.worked_through(10)) == ([2], [0, 0], 2)


def test_a_step_looks_once_more_after_the_overlap_and_then_rests() -> None:
    front = Front(newest=1_000_000, read_at=1_000_500)
    fresh = Looked(store_id="s", loaded_at=1_000_000, looked_at=1_000_500)
    assert fresh.since(front, store_id="s") == 1_000_000 - OVERLAP_MS
    settled = Looked(store_id="s", loaded_at=1_000_000, looked_at=1_000_001 + OVERLAP_MS)
    assert settled.since(front, store_id="s") is None
    assert settled.since(Front(newest=1_000_001, read_at=0), store_id="s") == 1_000_000 - OVERLAP_MS


def test_another_store_is_looked_through_from_the_beginning() -> None:
    looked = Looked(store_id="old", loaded_at=5, looked_at=10**12)
    assert looked.since(Front(newest=3, read_at=4), store_id="new") == 0
    assert looked.since(Front(newest=0, read_at=4), store_id="new") is None


def test_every_kind_of_the_journal_can_be_read_as_known_at_a_time(store: Store) -> None:
    tables = {row["name"] for row in store.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
    kinds = {name.removeprefix("inbox_") for name in tables if name.startswith("inbox_")}
    assert {"click", "touch", "conversion", "incident", "decision", "rate"} <= kinds
    for kind in sorted(kinds):
        assert store.rows(f"SELECT * FROM {kind}_as_of(as_of=1) LIMIT 1") == [], kind
