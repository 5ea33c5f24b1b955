"""SIGKILL under traffic on two workers: every click answered with a 302 is in the store exactly once, by the load generator's own log."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest

from ..app.running_system import System, eventually, running
from .load import Load

#: `make test-long` sets it to 50.
ROUNDS = int(os.environ.get("KILL_ROUNDS", "5"))
WORKERS = ("redirect-0", "redirect-1")
TWO_WORKERS = {"CLICKTRACE_REDIRECT__WORKERS": "2"}
#: Who is killed in a round; of `one of` one at random.
VICTIMS = {
    "one worker": ("one of", WORKERS),
    "monitor": ("all of", ("monitor",)),
    "everyone": ("all of", (*WORKERS, "monitor")),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 60 * ROUNDS)]


def stored(system: System) -> Counter[str]:
    rows = system.select(
        "SELECT lower(hex(click_id)) AS click_id, count() AS n FROM click WHERE has(platform_ids, 'gclid') GROUP BY 1"
    )
    return Counter({row["click_id"]: int(row["n"]) for row in rows})


def assert_exactly_once(system: System, answered: Collection[str]) -> None:
    """Wait until all of them have arrived, then compare."""

    def arrived() -> bool:
        return set(answered) <= set(stored(system))

    try:
        eventually(arrived, within_s=40, every_s=0.5)
    except AssertionError:
        missing = set(answered) - set(stored(system))
        pytest.fail(f"{len(missing)} of {len(answered)} answered clicks are not in the store: {sorted(missing)[:5]}")
    more = {click_id: n for click_id, n in stored(system).items() if n != 1}
    assert more == {}


def back(system: System, former: dict[str, int]) -> bool:
    return all(system.restarted(name, former=pid) for name, pid in former.items()) and system.ready()


@pytest.mark.parametrize("victims", VICTIMS)
def test_no_answered_click_is_lost_or_doubled_by_a_kill(tmp_path: Path, victims: str) -> None:
    chance = random.Random()
    how, names = VICTIMS[victims]
    with running(tmp_path / "data", environ=TWO_WORKERS) as system:
        system.add_link("spring")
        with Load(system.url("redirect", "/spring")) as load:
            for _ in range(ROUNDS):
                before = len(load.answered)
                eventually(lambda: len(load.answered) > before + 100, within_s=40, what="traffic")  # noqa: B023
                time.sleep(chance.uniform(0.0, 0.7))
                chosen = [chance.choice(names)] if how == "one of" else names
                former = {name: system.kill(name) for name in chosen}
                eventually(lambda: back(system, former), within_s=60, what="restarted")  # noqa: B023
        assert len(load.answered) > 100 * ROUNDS
        assert_exactly_once(system, load.answered)


def test_a_kill_of_everything_at_once_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data", environ=TWO_WORKERS) as system:
        system.add_link("spring")
        with Load(system.url("redirect", "/spring")) as load:
            eventually(lambda: len(load.answered) > 300, within_s=40, what="traffic")
            children = system.children()
            assert system.process is not None
            for pid in (system.process.pid, *children):
                os.kill(pid, signal.SIGKILL)
            system.process.wait(10)
        answered = load.answered
        system.start()
        assert_exactly_once(system, answered)


def test_a_wiped_store_is_refilled_from_the_journal(tmp_path: Path) -> None:
    with running(tmp_path / "data") as system:
        system.add_link("spring")
        with Load(system.url("redirect", "/spring")) as load:
            eventually(lambda: len(load.answered) > 300, within_s=40, what="traffic")
        answered = load.answered
        assert system.stop() == 0
        shutil.rmtree(system.data_dir / "store")
        system.start()
        assert_exactly_once(system, answered)
