"""Properties: whatever the order, the segments, the repetitions and the restarts, the same lines give the same tables and answers to the
cent, and what was answered as known at T is answered again after anything that was learned later."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.store.client import Store
from correlator.config import CorrelatorConfig
from tests.correlator.replaying import REPORTS, Replay, differences, made_up_day

#: Each example brings a day into the store twice, and asks five times for each report: 35 s of processor time for all of them. So one
#: example with two reports, other ones at each run; with this variable as many as it says, with all of them.
EXAMPLES = int(os.environ.get("CLICKTRACE_TEST_REPLAYS", "0"))


@settings(
    max_examples=EXAMPLES or 1,
    deadline=None,
    derandomize=not EXAMPLES,
    phases=[Phase.reuse, Phase.generate],  # a smaller seed is no smaller day
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_order_of_arrival_changes_a_table_and_nothing_learned_later_changes_what_was_answered(
    store: Store, world: Any, migrated: Path, tmp_path_factory: Any, clock: Any, seed: int
) -> None:
    random = Random(seed)
    directory: Path = tmp_path_factory.mktemp("replay")
    config = CorrelatorConfig(reporting_currency="USD")
    lines = made_up_day(world, random)
    early, late = lines[: 2 * len(lines) // 3], lines[2 * len(lines) // 3 :]
    known_by = early[-1].known_at + 500
    reports = list(REPORTS) if EXAMPLES else random.sample(list(REPORTS), 2)

    grown = Replay(store, directory / "grown", migrated, clock, config)
    grown.anyhow(early, random)
    answered = grown.answers(reports, known_by)
    grown.anyhow(late, random)
    assert differences(grown.answers(reports, known_by), answered) == []
    clock.now = now = max(clock.now, grown.world.clock.now) + 3_600_000
    grown.settle()
    tables, answers = grown.tables(), grown.answers(reports)
    grown.close()

    rebuilt = Replay(store, directory / "rebuilt", migrated, clock, config)
    clock.now = now
    rebuilt.in_order(lines)
    assert differences(rebuilt.tables(), tables) == []
    assert differences(rebuilt.answers(reports), answers) == []
    assert differences(rebuilt.answers(reports, known_by), answered) == []
    rebuilt.close()
