"""SIGKILL under load, and a journal that keeps nothing: no answered click is missing or doubled, and every 302 leaves."""

from __future__ import annotations

import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import JournalError
from redirect.counters import read_all

from .live_worker import ProcessWorker, Running, ThreadWorker, eventually, link

StartProcess = Callable[..., ProcessWorker]


class Load:
    """Clients that follow a link as fast as they can and write down every click ID they were given."""

    def __init__(self, running: Running, *, clients: int) -> None:
        self.answered: list[str] = []
        self._running = running
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,), daemon=True) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def _visit(self, number: int) -> None:
        while not self._stopping.is_set():
            try:
                client = self._running.connect()
                while not self._stopping.is_set():
                    # Pipelined in pairs: several requests of one connection share a tick.
                    client.send(b"GET /spring?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % number * 2)
                    for _ in range(2):
                        found = re.search(r"ct_click=([0-9a-f]{32})", client.read().location)
                        assert found
                        self.answered.append(found.group(1))
            except (OSError, EOFError):
                time.sleep(0.01)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)


def complete_lines(data_dir: Path) -> list[str]:
    """Click IDs of all whole lines; the last line of a killed writer may be torn, and then nobody was answered for it."""
    found = []
    for segment in (data_dir / "journal").glob("*.ndjson"):
        found += [json.loads(line)["click_id"] for line in segment.read_bytes().split(b"\n")[:-1]]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_worker_loses_and_doubles_no_answered_click(start_process: StartProcess, seed: int) -> None:
    process = start_process(link())
    load = Load(process, clients=6)
    time.sleep(random.Random(seed).uniform(0.1, 0.8))
    process.signal(signal.SIGKILL)
    process.process.join(10)
    # A second life on the same journal: what the first one wrote must stay, and new clicks go on.
    before = len(load.answered)
    process.start()
    eventually(lambda: len(load.answered) > before + 20)
    load.stop()
    process.signal(signal.SIGTERM)
    process.process.join(10)
    journaled = Counter(complete_lines(process.data_dir))
    assert len(load.answered) > 50
    assert [click for click in load.answered if journaled[click] != 1] == []
    assert max(journaled.values()) == 1


class DeadJournal:
    """A journal whose writer can keep nothing at all."""

    def append_encoded(self, _bodies: object) -> None:
        raise JournalError("closed")


def test_when_the_journal_is_dead_the_302_still_leaves_and_the_loss_is_counted(worker: ThreadWorker) -> None:
    assert worker.worker.server
    worker.worker.server._journal = DeadJournal()
    assert worker.get("/spring").status == 302
    [counters] = read_all(worker.data_dir)
    assert (counters.values["lost"], counters.values["journal_errors"]) == (1, 1)
