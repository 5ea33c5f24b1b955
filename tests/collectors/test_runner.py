"""What the runner does whatever the source: told apart with sources of a few lines."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.leadership import Leadership
from collectors.base import Fetched, Quota
from collectors.config import CollectorsConfig
from collectors.reading import outcome
from collectors.registry import build_sources
from collectors.runner import Runner
from collectors.shape import shape_of
from collectors.source_config import SourceConfig
from collectors.versions import Versions
from collectors.windows import Window
from core.clock import HOUR_MS
from core.control.checkpoints import Checkpoints
from core.errors import JournalError, Permanent, QuotaExceeded, Transient
from core.records import Conversion, Deploy, Reading, Watermark
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
    def make(*sources: ToySource, **given: Any) -> Runner:
        return Runner(
            sources,
            journal,
            Checkpoints(control, "collectors", clock=clock),
            versions=Versions(None, clock=clock),
            policy=RetryPolicy(attempts=2, first_wait_s=0.001, longest_wait_s=0.001),
            clock=clock,
            **given,
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
    names = {source.name for source in build_sources(CollectorsConfig(), accounts)}
    assert {"google_ads:1", "meta_ads:1"} <= names
    assert {name.partition("_")[0] for name in names} == {"google", "meta"}
    off = CollectorsConfig.model_validate({"meta_ads": {"enabled": False}})
    left = {source.name for source in build_sources(off, accounts)}
    assert left == {name for name in names if name.startswith("google_")}


def told(journaled: Any) -> list[Reading]:
    return [record for record in journaled() if isinstance(record, Reading)]


def test_how_a_source_does_is_told_when_it_changes_and_once_an_hour(run: Any, journaled: Any, clock: Any) -> None:
    source = ToySource("told")
    runner = run(source)
    for _ in range(30):
        runner.run_once(clock.now)
        clock.advance(60_000)
    assert [reading.state for reading in told(journaled)] == ["complete"]
    source.answer = Permanent("told", "no access")
    runner.run_once(clock.now)
    source.answer = None
    for _ in range(62):
        clock.advance(60_000)
        runner.run_once(clock.now)
    readings = told(journaled)
    assert [reading.state for reading in readings] == ["complete", "stopped", "complete"]
    assert (readings[1].detail, readings[1].next_attempt) == ("no access", readings[1].ts + 3_600_000)
    for _ in range(61):
        clock.advance(60_000)
        runner.run_once(clock.now)
    assert len(told(journaled)) == 4, "an hour has passed"


def test_the_quota_that_the_vendor_counts_is_told(run: Any, journaled: Any, clock: Any) -> None:
    class Counted(ToySource):
        used = 100.0

        def quota(self) -> Quota:
            return Quota(unit="tokens a day", used=self.used, limit=1000.0, resets_at=clock.now + 1)

    source = Counted("counted")
    runner = run(source)
    for used in (100.0, 110.0, 900.0):
        source.used = used
        runner.run_once(clock.now)
        clock.advance(60_000)
    assert [reading.quota_used for reading in told(journaled)] == [100.0, 900.0], "a few calls more are no news"
    assert REGISTRY.get_sample_value("clicktrace_source_quota_used_ratio", {"source": "counted"}) == 0.9


def test_rows_in_bulk_that_cannot_be_understood_hold_the_watermark_and_are_a_finding(
    run: Any, journaled: Any, clock: Any
) -> None:
    source = ToySource("odd", answer=Fetched(records=[marker("1")], invalid=20, detail="total is no number"))
    runner = run(source)
    runner.run_once(clock.now)
    (status,) = runner.statuses()
    assert (status.state, status.complete_through) == ("partial", 0)
    assert "20 of 21 rows were not understood: total is no number" in status.detail
    assert [finding.word for finding in status.findings] == ["invalid_rows"]
    assert facts(journaled) == [marker("1")], "what came is kept"
    assert told(journaled)[0].findings == ["invalid_rows"]
    labels = {"source": "odd", "finding": "invalid_rows"}
    assert REGISTRY.get_sample_value("clicktrace_source_finding", labels) == 1
    source.answer = Fetched(records=[marker("2")], invalid=1)
    clock.advance(60_000)
    runner.run_once(clock.now)
    (status,) = runner.statuses()
    assert (status.state, status.findings) == ("complete", ()), "one odd row is only counted"
    assert REGISTRY.get_sample_value("clicktrace_source_finding", labels) == 0


@pytest.mark.parametrize(
    ("rows", "word", "detail"),
    [
        ([{"id": n} for n in range(50)], "missing_columns", "cost"),
        ([{"id": n, "cost": 1, "surprise": 1} for n in range(50)], "unknown_columns", "surprise"),
        ([{"id": n, "cost": n % 2 or None} for n in range(50)], "null_rate", "cost empty in 50% of rows, usually 0%"),
    ],
)
def test_columns_that_are_gone_new_or_emptier_are_a_finding_also_after_a_restart(
    run: Any, clock: Any, rows: list[dict[str, Any]], word: str, detail: str
) -> None:
    full = shape_of([{"id": n, "cost": 1} for n in range(50)])
    runner = run(ToySource("renamed", answer=Fetched(records=[], shape=full)))
    for _ in range(4):
        runner.run_once(clock.now)
        clock.advance(60_000)
    runner = run(ToySource("renamed", answer=Fetched(records=[], shape=shape_of(rows))))
    runner.run_once(clock.now)
    (status,) = runner.statuses()
    assert status.state == "complete"
    assert [(finding.word, finding.detail) for finding in status.findings] == [(word, detail)]
    assert REGISTRY.get_sample_value("clicktrace_source_finding", {"source": "renamed", "finding": word}) == 1


def test_a_back_fill_longer_than_one_deadline_goes_on_soon(run: Any, clock: Any) -> None:
    """Each run reads two windows and meets its deadline: that is no failure that is waited for ever longer."""

    class Slow(ToySource):
        def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
            time.sleep(0.06)
            return super().fetch(window, now=now, deadline_s=deadline_s)

    source = Slow("slow")
    source.config = SourceConfig(interval_s=900, backfill_s=10 * 3600, window_s=3600, recent_s=0, deadline_s=0.1)
    runner = run(source)
    waits = []
    for _ in range(20):
        runner.run_once(clock.now)
        (status,) = runner.statuses()
        if status.state == "complete":
            break
        waits.append(status.next_attempt - clock.now)
        clock.now = status.next_attempt
    assert status.state == "complete"
    assert set(waits) == {30_000}
    assert len(waits) >= 2


def test_a_source_that_left_the_settings_is_told_to_be_removed(run: Any, journaled: Any, clock: Any) -> None:
    first = run(ToySource("stays"), ToySource("leaves"))
    first.start()
    first.stop()
    second = run(ToySource("stays"))
    second.start()
    second.stop()
    third = run(ToySource("stays"))
    third.start()
    third.stop()
    assert [reading.source for reading in told(journaled) if reading.state == "removed"] == ["leaves"]


def test_a_back_fill_made_longer_later_reads_the_older_days_too(run: Any, control: Any, clock: Any) -> None:
    def source(days: int) -> ToySource:
        made = ToySource("longer")
        made.config = SourceConfig(interval_s=60, backfill_s=days * 86_400, recent_s=3600, window_s=4 * 86_400)
        return made

    run(source(2)).run_once(clock.now)
    longer = source(10)
    run(longer).run_once(clock.now)
    assert [round((window.until - window.since) / 86_400_000) for window in longer.windows] == [0, 4, 4]
    again = source(10)
    clock.advance(60_000)
    run(again).run_once(clock.now)
    assert len(again.windows) == 1, "once is enough"


def test_of_several_processes_one_reads_and_the_next_goes_on_from_there(
    journal: Any, control: Any, clock: Any, journaled: Any
) -> None:
    def process(holder: str) -> tuple[ToySource, Leadership, Runner]:
        source = ToySource("shared")
        source.config = SourceConfig(interval_s=60, backfill_s=30 * 86_400, recent_s=3600)
        lease = Leadership(control, "collectors", holder=holder, lease_s=30, clock=clock)
        checkpoints = Checkpoints(control, "collectors", clock=clock)
        return source, lease, Runner([source], journal, checkpoints, versions=Versions(None), clock=clock, leads=lease.hold)  # fmt: skip

    first_source, first_lease, first = process("a")
    second_source, _, second = process("b")
    for _ in range(3):
        first.run_once(clock.now)
        second.run_once(clock.now)
        clock.advance(20_000)
    assert first_source.windows
    assert second_source.windows == []
    first_lease.release()
    clock.advance(60_000)
    second.run_once(clock.now)
    (window,) = second_source.windows
    assert window.until - window.since < 3 * 3_600_000, "not the back-fill again"


def test_a_process_that_reads_no_longer_does_not_alert_for_what_it_saw_last(run: Any, clock: Any) -> None:
    may_read = [True]
    source = ToySource("handed-over", answer=Permanent("handed-over", "no access"))
    runner = run(source, leads=lambda: may_read[0])

    def stopped() -> float | None:
        return REGISTRY.get_sample_value("clicktrace_source_stopped", {"source": "handed-over"})

    runner.run_once(clock.now)
    assert stopped() == 1
    may_read[0] = False
    runner.run_once(clock.now)
    assert stopped() is None
    may_read[0] = True
    clock.advance(2 * HOUR_MS)
    runner.run_once(clock.now)
    assert stopped() == 1, "its own again"


def test_a_source_that_was_never_read_shows_as_waiting(run: Any, journaled: Any) -> None:
    started, finish = threading.Event(), threading.Event()

    class Slow(ToySource):
        def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
            started.set()
            finish.wait(5)
            return super().fetch(window, now=now, deadline_s=deadline_s)

    runner = run(Slow("slow"))
    runner.start()
    assert started.wait(5)
    assert [reading.state for reading in told(journaled)] == ["waiting"]
    finish.set()
    runner.stop()


class Hourly(ToySource):
    """Ten rows an hour; `rate` of them from `since` on."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.config = SourceConfig(interval_s=3600, backfill_s=9 * 86_400, recent_s=86_400, window_s=10 * 86_400)
        self.rate, self.since = 10, 0

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        hours = range(window.since // HOUR_MS * HOUR_MS, window.until, HOUR_MS)
        rates = [(hour, self.rate if self.since and hour >= self.since else 10) for hour in hours]
        return Fetched(records=[order(hour, number) for hour, rate in rates for number in range(rate)])


def order(hour: int, number: int) -> Conversion:
    name = f"{hour}-{number}"
    return Conversion(
        ts=hour + number,
        source="toy",
        fact_id=name,
        conversion_id=name,
        type="order",
        status="confirmed",
        origin="backend",
    )


@pytest.mark.parametrize(("rate", "word"), [(1, "volume_drop"), (50, "volume_rise"), (9, "")])
def test_far_fewer_or_more_rows_than_in_the_week_before_are_a_finding(
    run: Any, journaled: Any, clock: Any, rate: int, word: str
) -> None:
    source = Hourly("hourly")
    runner = run(source)
    runner.run_once(clock.now)
    (status,) = runner.statuses()
    assert (status.state, status.findings) == ("complete", ())
    source.rate, source.since = rate, clock.now // HOUR_MS * HOUR_MS
    clock.advance(7 * HOUR_MS)
    runner.run_once(clock.now)
    (status,) = runner.statuses()
    assert [finding.word for finding in status.findings] == [word] * bool(word)
    assert told(journaled)[-1].findings == [word] * bool(word)
    for each in ("volume_drop", "volume_rise"):
        labels = {"source": "hourly", "finding": each}
        assert REGISTRY.get_sample_value("clicktrace_source_finding", labels) == (each == word)
