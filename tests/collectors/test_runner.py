"""What the runner does whatever the source: told apart with sources of a few lines."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from collectors.base import Fetched
from collectors.config import CollectorsConfig
from collectors.reading import outcome
from collectors.registry import AD_PLATFORMS, build_sources
from collectors.runner import Runner
from collectors.source_config import SourceConfig
from collectors.versions import Versions
from collectors.windows import Window
from core.control.checkpoints import Checkpoints
from core.errors import JournalError, Permanent, QuotaExceeded, Transient
from core.records import Deploy, Reading, Watermark
from core.retry import RetryPolicy
from core.vendors.config import AccountConfig


class ToySource:
    """A source as its author would write it: what it reads, nothing of when."""

    def __init__(self, name: str, *, answer: Any = None) -> None:
        self.name = name
        self.config = SourceConfig(interval_s=60, backfill_s=3600, deadline_s=5)
        self.answer = answer
        self.closed = False
        self.windows: list[Window] = []

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        self.windows.append(window)
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Fetched):
            return self.answer
        return Fetched(records=[marker(self.name)])

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        return Fetched(records=[])

    def close(self) -> None:
        self.closed = True


def marker(version: str) -> Deploy:
    return Deploy(
        ts=1, source="toy", fact_id=f"deploy:toy:{version}:deploy:1", service="toy", version=version, change="deploy"
    )


def facts(journaled: Any) -> list[Any]:
    """What was read, without what the runner says about it."""
    return [record for record in journaled() if not isinstance(record, Reading | Watermark)]


@pytest.fixture
def run(journal: Any, control: Any, clock: Any) -> Any:
    def make(*sources: ToySource) -> Runner:
        return Runner(
            sources,
            journal,
            Checkpoints(control, "collectors", clock=clock),
            versions=Versions(None, clock=clock),
            policy=RetryPolicy(attempts=2, first_wait_s=0.001, longest_wait_s=0.001),
            clock=clock,
        )

    return make


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Permanent("bad", "no access"), "stopped"),
        (Transient("bad", "down"), "behind"),
        (QuotaExceeded("bad", "slow", retry_after_s=1000), "quota"),
        (JournalError("disk full"), "behind"),
        (ZeroDivisionError("defect"), "stopped"),
    ],
)
def test_one_source_in_trouble_leaves_the_others(
    run: Any, journaled: Any, clock: Any, error: Exception, state: str
) -> None:
    bad, good = ToySource("bad", answer=error), ToySource("good")
    runner = run(bad, good)
    runner.run_once(clock.now)
    states = {status.source: status.state for status in runner.statuses()}
    assert states == {"bad": state, "good": "complete"}
    assert [record.source for record in journaled() if isinstance(record, Watermark)] == ["good"]


def test_what_came_of_a_partial_read_is_kept_and_the_watermark_waits(run: Any, journaled: Any, clock: Any) -> None:
    source = ToySource("half", answer=Fetched(records=[marker("1")], failed=1, detail="page 2"))
    runner = run(source)
    runner.run_once(clock.now)
    assert facts(journaled) == [marker("1")]
    (status,) = runner.statuses()
    assert (status.state, status.complete_through) == ("partial", 0)
    assert "page 2" in status.detail


def test_a_source_is_not_read_before_it_is_due(run: Any, clock: Any) -> None:
    source = ToySource("due")
    runner = run(source)
    for _ in range(10):
        runner.run_once(clock.now)
        clock.advance(10_000)
    assert len(source.windows) == 2


def test_a_position_that_cannot_be_read_starts_over(run: Any, control: Any, clock: Any) -> None:
    Checkpoints(control, "collectors").put("position:odd", b"not json")
    source = ToySource("odd")
    run(source).run_once(clock.now)
    assert source.windows[0].since <= clock.now - 3600_000


def test_stopping_closes_the_sources(run: Any) -> None:
    source = ToySource("open")
    runner = run(source)
    runner.start()
    runner.stop()
    assert source.closed


def test_a_stopped_runner_reads_again_when_it_is_started_again(run: Any, clock: Any) -> None:
    """More sources than threads: some reads are cancelled before they began, and are due again."""
    started = threading.Event()

    class Slow(ToySource):
        def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
            started.set()
            time.sleep(0.2)
            return super().fetch(window, now=now, deadline_s=deadline_s)

    sources = [Slow(f"source-{number}") for number in range(8)]
    runner = run(*sources)
    runner.start()
    assert started.wait(5)
    runner.stop()
    assert any(not source.windows for source in sources)
    runner.start()
    deadline = time.monotonic() + 10
    while not all(source.windows for source in sources) and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.stop()
    assert all(source.windows for source in sources)


@pytest.mark.parametrize(
    ("error", "failures", "complete", "expected"),
    [
        (None, 0, True, ("complete", 900)),
        (None, 0, False, ("partial", 900)),
        (Transient("s", "d"), 0, False, ("behind", 30)),
        (Transient("s", "d"), 2, False, ("behind", 120)),
        (Transient("s", "d"), 50, False, ("behind", 900)),
        (QuotaExceeded("s", "d", retry_after_s=5000), 0, False, ("quota", 5000)),
        (QuotaExceeded("s", "d"), 0, False, ("quota", 900)),
        (Permanent("s", "d"), 0, False, ("stopped", 900)),
    ],
)
def test_the_outcome_decides_when_the_source_comes_next(
    error: Any, failures: int, complete: bool, expected: tuple[str, float]
) -> None:
    assert outcome(error, 900, failures=failures, complete=complete) == expected


def test_accounts_become_sources_where_we_can_read_the_platform() -> None:
    accounts = [AccountConfig(platform=platform, account="1") for platform in ("google", "meta", "microsoft", "tiktok")]
    sources = build_sources(CollectorsConfig(), accounts)
    assert [source.name for source in sources] == ["google_ads:1", "meta_ads:1"]
    off = CollectorsConfig.model_validate({"meta_ads": {"enabled": False}})
    assert [source.name for source in build_sources(off, accounts)] == ["google_ads:1"]


def test_every_source_has_its_three_files() -> None:
    from pathlib import Path

    import collectors

    root = Path(collectors.__file__).parent
    for section, where in AD_PLATFORMS.values():
        assert where.startswith(f"collectors.{section}.collector:")
        for name in ("collector.py", "config.py", "README.md"):
            assert (root / section / name).is_file()
