"""A disk that is full or may not be written, and a clock that jumps: every 302 leaves, and no click is lost, doubled or hidden.

The worker is an ordinary user here, because root writes wherever it likes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.clock import now_ms
from core.control.engine import open_control
from redirect.config import RedirectConfig
from redirect.counters import read_all
from redirect.links.store import LinkStore
from redirect.open_files import RESERVE

from .live_worker import ALLOWED, Running, ThreadWorker, eventually, journal_lines, link, listening_socket
from .poor_worker import NOBODY

#: Clicks whose journal lines take more than `ROOM`.
MANY = 300


class PoorWorker(Running):
    """`poor_worker` and the doors to it."""

    def __init__(
        self, data_dir: Path, *, journal: dict[str, Any] | None = None, open_files: int = 0, read_only: bool = False
    ) -> None:
        self._sock = listening_socket()
        control = open_control("", data_dir)
        LinkStore(control, allowed_destinations=ALLOWED).add(link(), author="test")
        super().__init__(port=self._sock.getsockname()[1], data_dir=data_dir, control=control, allowed=ALLOWED)
        self.journal_dir = data_dir / "journal"
        self.journal_dir.mkdir()
        if os.geteuid() == 0:
            for path in (data_dir, *data_dir.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        wanted = {
            "socket": self._sock.fileno(), "data_dir": str(data_dir), "journal": journal or {}, "open_files": open_files,
        }  # fmt: skip
        self.allow_writing(not read_only)
        command = [sys.executable, "-B", "-m", "tests.redirect.poor_worker", json.dumps(wanted)]
        self.process = subprocess.Popen(command, pass_fds=[self._sock.fileno()])
        assert self.health() == "ok"

    def allow_writing(self, allowed: bool) -> None:
        """Whether new files may be made in the data directory and in the journal's."""
        for folder in (self.data_dir, self.journal_dir):
            folder.chmod(0o755 if allowed else 0o555)

    def fill_disk(self) -> None:
        """No file grows beyond `ROOM` any more: the kernel answers EFBIG, as a full disk answers ENOSPC."""
        self.process.send_signal(signal.SIGUSR1)
        assert self.health() == "ok"

    def make_room(self) -> None:
        self.process.send_signal(signal.SIGUSR2)

    def health(self) -> str:
        status: str = self.connect(timeout_s=20).get("/healthz").json()["status"]
        return status

    def visit(self, times: int) -> None:
        client = self.connect()
        assert {client.get("/spring").status for _ in range(times)} == {302}

    def counted(self, name: str) -> int:
        [counters] = read_all(self.data_dir)
        return counters.values[name]

    def stop(self) -> None:
        self.close()
        self.process.terminate()
        self.process.wait(15)
        self._sock.close()
        self.control.dispose()


Start = Callable[..., PoorWorker]


@pytest.fixture
def start_poor(tmp_path: Path) -> Iterator[Start]:
    running: list[PoorWorker] = []

    def start(**wanted: Any) -> PoorWorker:
        running.append(PoorWorker(tmp_path, **wanted))
        return running[-1]

    yield start
    for one in running:
        one.allow_writing(True)
        one.stop()


def assert_each_click_once(worker: PoorWorker, *, answered: int) -> None:
    """After the worker's end: in the journal once each, less those that were counted as lost."""
    worker.stop()
    found = Counter(line["click_id"] for line in journal_lines(worker.data_dir))
    assert set(found.values()) <= {1}
    assert len(found) + worker.counted("lost") == answered


def test_a_full_disk_stops_no_redirect_and_shows_in_health(start_poor: Start) -> None:
    """What neither the disk nor memory could keep at the end is counted as lost, not hidden."""
    worker = start_poor()
    worker.fill_disk()
    worker.visit(MANY)
    health = worker.get("/healthz").json()
    assert health["status"] == "degraded"
    assert health["journal"]["unjournaled"] > 0
    assert health["journal"]["last_error"]
    assert_each_click_once(worker, answered=MANY)
    assert worker.counted("lost") > 0


def test_when_there_is_room_again_everything_is_written(start_poor: Start) -> None:
    worker = start_poor()
    worker.fill_disk()
    worker.visit(MANY)
    assert worker.health() == "degraded"
    worker.make_room()
    eventually(lambda: worker.health() == "ok")
    worker.visit(10)
    assert_each_click_once(worker, answered=MANY + 10)
    assert worker.counted("lost") == 0


def test_a_directory_that_may_not_be_written_any_more_stops_no_redirect(start_poor: Start) -> None:
    """The open segment is still written; the next one cannot be made, and clicks wait in memory until it can."""
    worker = start_poor(journal={"segment_max_bytes": 2**16})
    worker.visit(20)
    worker.journal_dir.chmod(0o555)
    worker.visit(MANY)
    assert worker.health() == "degraded"
    assert worker.counted("outcome:redirected") == MANY + 20
    time.sleep(1.5)  # the writer's thread tries again and again meanwhile, and must not end over it
    assert worker.get("/healthz").json()["journal"]["unjournaled"] > 0
    worker.journal_dir.chmod(0o755)
    eventually(lambda: worker.health() == "ok")
    assert_each_click_once(worker, answered=MANY + 20)
    assert worker.counted("lost") == 0
    assert not list(worker.journal_dir.glob(".*")), "nothing is left behind"


def test_a_worker_that_starts_where_it_can_make_no_file_redirects_all_the_same(start_poor: Start) -> None:
    worker = start_poor(read_only=True)
    worker.visit(50)
    assert worker.health() == "degraded"
    worker.allow_writing(True)
    eventually(lambda: worker.health() == "ok")
    worker.stop()
    assert set(Counter(line["click_id"] for line in journal_lines(worker.data_dir)).values()) == {1}
    assert len(journal_lines(worker.data_dir)) == 50


def test_what_memory_cannot_hold_is_counted_as_lost(start_poor: Start) -> None:
    worker = start_poor(journal={"ring_max_bytes": 2**16})
    worker.fill_disk()
    worker.visit(MANY)
    eventually(lambda: worker.counted("lost") > 0)
    assert_each_click_once(worker, answered=MANY)


def test_where_few_files_may_be_open_clients_are_turned_away_by_name_and_the_journal_goes_on(start_poor: Start) -> None:
    """Connections are open files: a flood of them must not leave the journal none for its next segment."""
    worker = start_poor(journal={"segment_max_bytes": 2**16}, open_files=RESERVE + 50)
    kept = worker.connect()
    assert kept.get("/spring").status == 302
    others = [worker.connect() for _ in range(100)]
    eventually(lambda: worker.counted("outcome:too_many_connections") >= 50)
    assert others[-1].read().body == b"too_many_connections\n"
    assert {kept.get("/spring").status for _ in range(MANY)} == {302}
    assert kept.get("/healthz").json()["journal"]["unjournaled"] == 0
    assert len(list(worker.journal_dir.glob("*.ndjson"))) > 1, "segments were begun meanwhile"
    assert_each_click_once(worker, answered=MANY + 1)
    assert worker.counted("lost") == 0


# --- the clock ----------------------------------------------------------------------------------------------------------------


class JumpingClock:
    """The real time, plus what somebody set it wrong by."""

    def __init__(self) -> None:
        self.wrong_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.wrong_ms


def test_a_clock_that_jumps_an_hour_forth_and_back_disturbs_nobody(tmp_path: Path) -> None:
    clock = JumpingClock()
    control = open_control("", tmp_path)
    config = RedirectConfig.model_validate({"allowed_destinations": ALLOWED, "drain_timeout_s": 2})
    LinkStore(control, allowed_destinations=ALLOWED).add(link(), author="test")
    worker = ThreadWorker(config, data_dir=tmp_path, control=control, sock=listening_socket(), clock=clock)
    client = worker.connect()
    try:
        for wrong_ms in (0, 3_600_000, 3_500_000, -3_600_000, 0):
            clock.wrong_ms = wrong_ms
            assert {client.get("/spring").status for _ in range(50)} == {302}, (
                "one connection all along: no time-out strikes"
            )
            assert sum(abs(line["ts"] - clock()) < 600_000 for line in worker.lines()) >= 50, (
                "clicks say the time of the clock"
            )
    finally:
        worker.stop()
        control.dispose()
    lines = journal_lines(tmp_path)
    assert len({line["click_id"] for line in lines}) == len(lines) == 250
    segments = list((tmp_path / "journal").glob("*.ndjson"))
    assert len(segments) == 5, "each jump begins a new one"
    for segment in segments:
        known = [json.loads(line)["known_at"] for line in segment.read_bytes().splitlines()]
        assert all(first <= second for first, second in pairwise(known)), "known_at never falls within a segment"
