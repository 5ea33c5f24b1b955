"""One suite over every registered pull source: its real client over the vendor's wire protocol, the real journal, store and
control database. What differs between sources is in `PLATFORMS` alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.demo.ad_account import Behaviour, CampaignSetup, Clicks
from app.demo.google_sandbox import GoogleSandbox, process_ca
from app.demo.meta_sandbox import MetaSandbox
from collectors.config import CollectorsConfig
from collectors.registry import AD_PLATFORMS, build_sources
from collectors.runner import Runner
from collectors.versions import RECENT_MS, Versions
from core.clock import DAY_MS, HOUR_MS
from core.control.checkpoints import Checkpoints
from core.records import Campaign, Spend, Watermark
from core.retry import RetryPolicy
from core.vendors.config import AccountConfig

LAG_S = 3 * 3600
CAMPAIGNS = [
    CampaignSetup(id="11", name="Spring", cpc_micros=500_000),
    CampaignSetup(id="12", name="Autumn", cpc_micros=800_000),
]
SCHEDULE: dict[str, Any] = {
    "interval_s": 900,
    "documented_lag_s": LAG_S,
    "recent_s": 86_400,
    "restatement_s": 3 * 86_400,
    "restatement_interval_s": 6 * 3600,
    "backfill_s": 2 * 86_400,
    "window_s": 86_400,
    "deadline_s": 10,
    "call_timeout_s": 3,
}
QUICK = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


class World:
    """A sandbox, a runner on it, and the means to restart the latter."""

    def __init__(self, sandbox: Any, make: Callable[..., Runner], clock: Any) -> None:
        self.sandbox = sandbox
        self.account = sandbox.account
        self.clock = clock
        self.make = make
        self.runner = make()

    @property
    def name(self) -> str:
        return self.runner.statuses()[0].source

    @property
    def status(self) -> Any:
        return self.runner.statuses()[0]

    def click(self, clicks: int, *, campaign: str = "11", ago_h: float = 0.0) -> None:
        at = self.clock.now - round(ago_h * HOUR_MS)
        assert self.account.add_clicks([Clicks(campaign=campaign, clicks=clicks, ts=at)]).accepted == clicks

    def run(self, *, after_s: float = 0.0) -> None:
        self.clock.advance(round(after_s * 1000))
        self.runner.run_once(self.clock.now)


@pytest.fixture(params=sorted(AD_PLATFORMS))
def world(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Any, journal: Any, control: Any, store: Any
) -> Iterator[World]:
    platform = request.param
    section, _ = AD_PLATFORMS[platform]
    behaviour = Behaviour(report_lag_s=LAG_S, restate_after_s=86_400, restate_share=0.05)
    kind: Any = {"google": GoogleSandbox, "meta": MetaSandbox}[platform]
    more = {"ca": process_ca()} if platform == "google" else {}
    with kind(tmp_path / platform, campaigns=[CampaignSetup(id=c.id, name=c.name, cpc_micros=c.cpc_micros) for c in CAMPAIGNS],
              behaviour=behaviour, clock=clock, **more) as sandbox:  # fmt: skip

        def make(**changes: Any) -> Runner:
            config = CollectorsConfig.model_validate({section: SCHEDULE | changes})
            account = AccountConfig(
                platform=platform,
                account=sandbox.account.account,
                client="acme",
                endpoint=sandbox.endpoint,
                credentials_file=str(sandbox.credentials_file),
            )
            return Runner(
                build_sources(config, [account]),
                journal,
                Checkpoints(control, "collectors", clock=clock),
                versions=Versions(store, clock=clock),
                policy=QUICK,
                clock=clock,
            )

        world = World(sandbox, make, clock)
        yield world
        world.runner.stop()


def spends(journaled: Any) -> list[Spend]:
    return [record for record in journaled() if isinstance(record, Spend)]


def marks(journaled: Any) -> list[Watermark]:
    return [record for record in journaled() if isinstance(record, Watermark)]


def test_spend_states_and_watermark_are_journaled(world: World, journaled: Any) -> None:
    world.click(100, ago_h=5)
    world.run()
    (spend,) = spends(journaled)
    platform, account = world.account.platform, world.account.account
    assert (spend.campaign, spend.clicks, spend.cost_micros) == (f"{platform}:{account}:11", 100, 50_000_000)
    hour = (world.clock.now - 5 * HOUR_MS) // HOUR_MS * HOUR_MS
    assert spend.fact_id == f"spend:{spend.campaign}:{hour}:3600:{spend.device}:::"
    assert spend.source in ("google_ads", "meta_ads")
    states = [record for record in journaled() if isinstance(record, Campaign)]
    assert {(state.name, state.status, state.client) for state in states} == {
        ("Spring", "enabled", "acme"),
        ("Autumn", "enabled", "acme"),
    }
    (mark,) = marks(journaled)
    assert mark.source == world.name == f"{spend.source}:{account}"
    assert (mark.complete_through, mark.documented_lag_s) == (world.clock.now - LAG_S * 1000, LAG_S)
    assert world.status.state == "complete"


def test_an_unchanged_re_read_changes_nothing(world: World, journaled: Any, ship: Any) -> None:
    world.click(100, ago_h=5)
    world.run()
    before = len(journaled())
    world.run(after_s=60)
    ship()
    world.clock.advance(RECENT_MS)  # from here on only the store remembers
    world.run(after_s=900)
    new = journaled()[before:]
    assert [type(record) for record in new] == [Watermark]
    assert world.status.rows_written < world.status.rows_read


def test_a_restart_repeats_without_doubling(world: World, journaled: Any, ship: Any) -> None:
    world.click(100, ago_h=5)
    world.run()
    ship()
    before = len(journaled())
    world.runner.stop()
    world.clock.advance(RECENT_MS + 900_000)
    world.runner = world.make()
    assert world.status.complete_through > 0, "the position survived"
    world.run()
    assert [type(record) for record in journaled()[before:]] == [Watermark]


def test_late_spend_comes_in_by_a_later_read(world: World, journaled: Any) -> None:
    world.click(100)
    world.run()
    assert spends(journaled) == []
    world.run(after_s=LAG_S + 3600)
    assert [spend.clicks for spend in spends(journaled)] == [100]


def test_a_restated_figure_is_a_new_version_of_the_same_fact(
    world: World, journaled: Any, ship: Any, store: Any
) -> None:
    world.click(1000, ago_h=4)
    world.run()
    world.run(after_s=86_400 + 3600)
    first, second = spends(journaled)
    assert first.fact_id == second.fact_id
    assert first.cost_micros != second.cost_micros
    ship()
    rows = store.rows("SELECT fact_id, count() AS n, argMax(cost_micros, known_at) AS cost FROM spend GROUP BY fact_id")
    assert [(row["n"], row["cost"]) for row in rows] == [(2, second.cost_micros)]


def test_a_pause_shows_as_the_campaigns_state(world: World, journaled: Any) -> None:
    world.run()
    world.account.set_status("11", "paused")
    world.run(after_s=900)
    states = [record.status for record in journaled() if isinstance(record, Campaign) and record.name == "Spring"]
    assert states == ["enabled", "paused"]


def test_unreachable_the_watermark_stands_still_and_resumes(world: World, journaled: Any) -> None:
    world.run()
    through = world.status.complete_through
    world.account.behaviour.outage = True
    for _ in range(3):
        world.run(after_s=900)
    assert len(marks(journaled)) == 1
    assert (world.status.state, world.status.complete_through) == ("behind", through)
    assert world.status.consecutive_failures == 3
    world.account.behaviour.outage = False
    world.run(after_s=900)
    assert world.status.state == "complete"
    assert marks(journaled)[-1].complete_through > through


def test_a_server_error_in_between_is_retried_within_the_run(world: World, journaled: Any) -> None:
    world.account.behaviour.server_errors = 2
    world.run()
    assert world.status.state == "complete"
    assert len(marks(journaled)) == 1


def test_quota_is_waited_out_as_long_as_told(world: World, journaled: Any) -> None:
    world.account.behaviour.quota_errors = 1
    world.account.behaviour.retry_after_s = 3600
    world.run()
    assert world.status.state == "quota"
    assert world.status.next_attempt == world.clock.now + 3_600_000
    world.run(after_s=1800)
    assert marks(journaled) == [], "not asked before the time"
    world.run(after_s=1800)
    assert world.status.state == "complete"


def test_wrong_credentials_stop_the_source_with_a_clear_word_until_they_are_mended(
    world: World, journaled: Any
) -> None:
    good = world.sandbox.credentials_file.read_bytes()
    world.sandbox.credentials_file.write_text("{}" if world.account.platform == "google" else "EAABwrong")
    world.run()
    assert world.status.state == "stopped"
    assert world.status.detail
    world.run(after_s=900)
    assert world.status.last_attempt < world.clock.now, "left alone for an hour"
    world.sandbox.credentials_file.write_bytes(good)
    world.runner.stop()
    world.runner = world.make()
    world.run()
    assert world.status.state == "complete"


def test_a_kill_between_windows_resumes_there(world: World, journaled: Any, ship: Any) -> None:
    """The back-fill is cut after its first window, as if the process had died."""
    world.click(10, ago_h=47)
    world.click(20, ago_h=20)
    source = next(iter(world.runner._sources.values()))
    fetch, calls = source.fetch, []

    def dying(window: Any, **kwargs: Any) -> Any:
        calls.append(window)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fetch(window, **kwargs)

    source.fetch = dying  # type: ignore[method-assign]  # the process dies inside
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert marks(journaled) == []
    ship()
    world.runner = world.make()
    world.run()
    assert sorted(spend.clicks for spend in spends(journaled)) == [10, 20]
    assert world.status.state == "complete"


def test_a_hanging_platform_is_left_at_the_deadline(world: World, journaled: Any) -> None:
    world.sandbox.stop()
    with _silent_listener(world.sandbox.endpoint):
        world.runner.stop()
        world.runner = world.make(deadline_s=1, call_timeout_s=0.4)
        started = time.monotonic()
        world.run()
        assert time.monotonic() - started < 4
    assert world.status.state == "behind"
    assert marks(journaled) == []


def _silent_listener(endpoint: str) -> Any:
    """Something that accepts connections on the sandbox's port and never says a word."""
    import contextlib
    import socket

    @contextlib.contextmanager
    def listening() -> Iterator[None]:
        port = int(endpoint.rpartition(":")[2])
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(16)
            yield

    return listening()


def test_reading_in_the_background_starts_and_stops_in_any_state(world: World, journaled: Any) -> None:
    world.runner.stop()
    world.runner = world.make()
    world.runner.start()
    world.runner.start()
    deadline = time.monotonic() + 10
    while world.status.last_success == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    world.runner.stop()
    world.runner.stop()
    assert world.status.state == "complete"
    assert not [thread for thread in threading.enumerate() if thread.name == "collectors"]


def test_the_metrics_say_the_same(world: World) -> None:
    from prometheus_client import REGISTRY

    world.run()
    labels = {"source": world.name}
    through = REGISTRY.get_sample_value("clicktrace_source_complete_through_seconds", labels)
    assert through == world.status.complete_through / 1000
    assert REGISTRY.get_sample_value("clicktrace_source_stopped", labels) == 0


def test_ninety_days_are_filled_back_in_windows(world: World, journaled: Any) -> None:
    world.runner.stop()
    world.runner = world.make(backfill_s=90 * 86_400, window_s=7 * 86_400, deadline_s=60)
    for day in range(1, 90):
        world.click(day, ago_h=24.0 * day)
    world.run()
    assert sum(spend.clicks for spend in spends(journaled)) == sum(range(1, 90))
    assert marks(journaled)[-1].complete_through == world.clock.now - LAG_S * 1000
    assert min(spend.ts for spend in spends(journaled)) < world.clock.now - 88 * DAY_MS
