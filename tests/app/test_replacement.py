"""Replacing workers under traffic: no request is refused, reset or left without an answer, and a bad successor changes nothing."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.children import Child, ChildSpec
from app.lifecycle import Assignment
from app.replacement import GENERATION, Replacement, successor_of
from app.run_state import RunState, read_state
from core.control.engine import open_control
from redirect.links.store import LinkStore
from tests.redirect.live_worker import journal_lines, link

from .running_system import FREE_PORTS, alive, eventually


def spec(index: int = 0) -> ChildSpec:
    assignment = Assignment(role="redirect", settings=b"", sockets={}, index=index)
    return ChildSpec(name=f"redirect-{index}", module="app.redirect_process", assignment=assignment)


class Process(Child):
    """A child without a process: it lives until it is told to stop, or until the test says so."""

    def __init__(self, child_spec: ChildSpec) -> None:
        super().__init__(child_spec)
        self.running = False
        self.stubborn = False
        self.signals: list[int] = []

    def start(self) -> None:
        self.running = True

    def reap(self) -> int | None:
        return None if self.running else 1

    def signal(self, number: int) -> None:
        self.signals.append(number)
        self.running = self.stubborn

    def wait(self, timeout_s: float) -> bool:
        return not self.running

    def kill(self) -> None:
        self.running = False


class Scene:
    """Two workers that are to be replaced."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: set[str] = set()
        self.made: list[Process] = []
        self.former = [Process(spec(0)), Process(spec(1))]
        for child in self.former:
            child.start()
        self.children: list[Child] = list(self.former)
        self.replacement = Replacement(
            is_ready=lambda child, _since: child.spec.name in self.ready,
            stop_within_s=20,
            make=self._make,
            monotonic=lambda: self.now,
        )
        self.replacement.ask()

    def _make(self, child_spec: ChildSpec) -> Process:
        self.made.append(Process(child_spec))
        return self.made[-1]

    def steps(self, count: int) -> list[str]:
        for _ in range(count):
            self.replacement.step(self.children)
        return [child.spec.name for child in self.children]


def test_a_successor_has_the_other_number_and_its_successor_the_first_again() -> None:
    other = successor_of(spec(3))
    assert (other.name, other.assignment.index) == (f"redirect-{3 + GENERATION}", 3 + GENERATION)
    assert successor_of(other) == spec(3)


def test_a_predecessor_is_stopped_only_when_its_successor_answers_and_one_after_the_other() -> None:
    scene = Scene()
    assert scene.steps(5) == ["redirect-0", "redirect-1"]
    assert scene.former[0].signals == []
    scene.ready.add("redirect-64")
    assert scene.steps(1) == ["redirect-64", "redirect-1"]
    assert scene.former[0].signals == [signal.SIGTERM]
    scene.ready.add("redirect-65")
    assert scene.steps(4) == ["redirect-64", "redirect-65"]
    assert not scene.replacement.under_way


@pytest.mark.parametrize("dies", [True, False])
def test_a_successor_that_dies_or_never_answers_leaves_everything_as_it_was(dies: bool) -> None:
    scene = Scene()
    scene.steps(2)
    if dies:
        scene.made[0].running = False
    else:
        scene.now = 61.0
    assert scene.steps(3) == ["redirect-0", "redirect-1"]
    assert [child.signals for child in scene.former] == [[], []]
    assert not scene.made[0].running
    assert not scene.replacement.under_way


def test_a_predecessor_that_does_not_stop_is_killed_in_time() -> None:
    scene = Scene()
    scene.former[0].stubborn = True
    scene.ready.add("redirect-64")
    scene.steps(3)
    assert scene.former[0].running
    assert scene.replacement.others() == [scene.former[0]]
    scene.now = 21.0
    scene.steps(1)
    assert not scene.former[0].running


def test_asked_for_again_while_it_is_under_way_it_is_done_once_more_afterwards() -> None:
    scene = Scene()
    scene.ready |= {"redirect-64", "redirect-65"}
    scene.steps(3)
    scene.replacement.ask()
    assert scene.steps(5) == ["redirect-64", "redirect-65"]
    scene.ready |= {"redirect-0", "redirect-1"}
    assert scene.steps(9) == ["redirect-0", "redirect-1"]
    assert not scene.replacement.under_way


# --- real processes -----------------------------------------------------------------------------------------------------------


class Traffic:
    """Clients that follow a link: on a connection they keep, or on a new one each time. Any failure is written down."""

    def __init__(self, port: int) -> None:
        self.answered: list[str] = []
        self.failed: list[str] = []
        self._port = port
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, kwargs={"keep": keep}) for keep in (True, True, False, False)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, *, keep: bool) -> None:
        connection = self._connect()
        while not self._stopping.is_set():
            try:
                connection.request("GET", "/spring", headers={} if keep else {"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 302
                self.answered.append(answer.headers["Location"].partition("ct_click=")[2])
                if answer.will_close:
                    connection.close()  # http.client connects anew with the next request
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failed.append(repr(error))
                connection = self._connect()
            time.sleep(0.002)
        connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(25)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`clicktrace redirect` with two workers and a link."""
    control = open_control("", tmp_path)
    LinkStore(control, allowed_destinations=("shop.example",)).save(new=[link()], author="test")
    control.dispose()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLICKTRACE_")}
    environ |= FREE_PORTS | {"CLICKTRACE_DATA_DIR": str(tmp_path), "CLICKTRACE_REDIRECT__WORKERS": "2"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "redirect"], env=environ, stdout=log, stderr=log
        )
    yield process
    process.terminate()
    process.wait(40)


@pytest.mark.slow
def test_workers_replaced_twice_under_traffic_fail_no_request_and_lose_no_click(
    workers: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    def names() -> list[str]:
        return [child.name for child in state().children]

    def state() -> RunState:
        found = read_state(tmp_path, role="redirect")
        assert found, (tmp_path / "log").read_text()[-2000:]
        return found

    eventually(lambda: read_state(tmp_path, role="redirect") is not None, within_s=40)
    traffic = Traffic(state().ports["redirect"])
    eventually(lambda: len(traffic.answered) > 100, within_s=40)
    for wanted in (["redirect-64", "redirect-65"], ["redirect-0", "redirect-1"]):
        former = [child.pid for child in state().children]
        workers.send_signal(signal.SIGUSR2)
        # A new process under the load of everything else that runs may take its time.
        eventually(lambda: names() == wanted, within_s=150, what=f"{wanted}")  # noqa: B023 - called before `wanted` changes
        eventually(lambda: not any(alive(pid) for pid in former if pid), within_s=40)  # noqa: B023
    before = len(traffic.answered)
    eventually(lambda: len(traffic.answered) > before + 100, within_s=40)
    traffic.stop()
    assert traffic.failed == []
    journaled = Counter(line["click_id"] for line in journal_lines(tmp_path) if line["kind"] == "click")
    answered = Counter(traffic.answered)
    assert (len(answered - journaled), len(journaled - answered)) == (0, 0)
