"""The baseline is learned anew beside the ticks, which never wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from core.control.checkpoints import Checkpoints
from core.errors import StoreError
from correlator.detection import engine, history
from correlator.detection.aside import Aside, Runner, at_once, in_a_thread
from correlator.detection.config import DetectionConfig
from correlator.detection.engine import Detection, exposure_differs
from tests.correlator.detection.conftest import World, copy_of
from tests.databases import Databases

MINUTE = 60_000


class Held:
    """Work that was begun and waits for the test to run it."""

    def __init__(self) -> None:
        self.begun: list[Callable[[], None]] = []
        self.joined = 0

    def __call__(self, work: Callable[[], None]) -> Callable[[float], object]:
        self.begun.append(work)
        return self.join

    def join(self, _timeout_s: float) -> None:
        self.joined += 1


def refits(outcome: str) -> float:
    return REGISTRY.get_sample_value("clicktrace_baseline_refits_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def w(established: World, databases: Databases, tmp_path: Path) -> Iterator[Any]:
    with copy_of(established, databases, tmp_path) as copied:
        yield copied


def watching(w: Any, aside: Runner) -> Detection:
    """A detector of this world that learns anew every minute, after its first tick; nothing more becomes known from here on."""
    through = w.clock.now
    detection = Detection(
        w.store,
        w.journal,
        Checkpoints(w.control, "of this test"),
        config=DetectionConfig(refresh_interval_s=60),
        clock=w.clock,
        shipped_through=lambda _now: through,
        aside=aside,
    )
    for _ in range(2):  # an import is over when its counts stand still
        detection.tick(w.clock.now)
    return detection


@pytest.mark.slow
def test_a_tick_goes_on_with_the_old_baseline_until_the_new_one_is_there(w: Any) -> None:
    held = Held()
    detection, now = watching(w, held), w.clock.now
    first = detection.model
    assert first is not None
    assert (first.learned_at, held.begun) == (now, []), "the first is learned on the spot"
    for minutes in (2, 4, 6):
        detection.tick(now + minutes * MINUTE)
        assert detection.model is first
    assert len(held.begun) == 1, "one at a time"
    assert REGISTRY.get_sample_value("clicktrace_baseline_age_seconds") == 360
    held.begun[0]()
    assert detection.model is first
    detection.tick(now + 6 * MINUTE + 1)
    assert detection.model is not first
    assert detection.model.learned_at == now + 2 * MINUTE, "as of the tick that asked for it"


@pytest.mark.slow
def test_a_refit_that_fails_is_counted_and_tried_again(w: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    detection, now, failed = watching(w, at_once), w.clock.now, refits("failed")
    first = detection.model
    with monkeypatch.context() as broken:
        broken.setattr(history, "learn", _too_slow)
        detection.tick(now + 2 * MINUTE)
        detection.tick(now + 4 * MINUTE)
    assert (detection.model, refits("failed")) == (first, failed + 1), "not before it has rested"
    detection.tick(now + 2 * MINUTE + engine.RETRY_MS)
    assert detection.model is not first


@pytest.mark.slow
def test_a_refit_that_takes_long_is_told_of_once_and_waited_for_at_the_end(w: Any) -> None:
    held = Held()
    detection, now, slow = watching(w, held), w.clock.now, refits("slow")
    for minutes in (2, 13, 14):
        detection.tick(now + minutes * MINUTE)
    assert refits("slow") == slow + 1
    detection.stop()
    assert held.joined == 1


def _too_slow(*_args: object, **_kwargs: object) -> None:
    raise StoreError("too slow")


def test_work_aside_is_taken_once_whether_it_ends_well_or_not() -> None:
    aside: Aside[int] = Aside(in_a_thread)
    assert aside.take() is None
    for work, expected in ((lambda: 7, (7, None)), (lambda: int("x"), (None, ValueError))):
        aside.begin(work)
        aside.stop()
        done = aside.take()
        assert done is not None
        assert (done.result, done.error and type(done.error)) == expected
        assert (aside.take(), aside.busy) == (None, False)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [b"", msgspec.msgpack.encode({"feed": 1}), None])
def test_a_checkpoint_of_another_version_is_filled_anew_from_the_store(w: Any, kept: bytes | None) -> None:
    checkpoints = Checkpoints(w.control, "of this test")
    before = watching(w, at_once).exposure
    if kept is None:  # ours, but for the exposure in it
        state = msgspec.msgpack.decode(checkpoints.get("state") or b"")
        kept = msgspec.msgpack.encode({**state, "exposure": msgspec.msgpack.encode({"clicks": b"old"})})
    checkpoints.put("state", kept)
    after = watching(w, at_once).exposure
    assert exposure_differs(after, before) == 0
    assert after.clicks.sum() > 0
