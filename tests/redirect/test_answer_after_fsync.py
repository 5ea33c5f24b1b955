"""`redirect.answer_after_fsync`: no answer before its click is on the disk, groups share one fsync, and a sick disk stops nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence

import pytest

from core.journal.writer import JournalWriter
from redirect.counters import read_all

from .live_worker import Client, ThreadWorker, eventually, link

Start = Callable[..., ThreadWorker]
REQUEST = b"GET /spring HTTP/1.1\r\nHost: go.example\r\n\r\n"


class SlowDisk:
    """The worker's own journal on a disk whose fsync ends when the test says so."""

    def __init__(self, journal: JournalWriter) -> None:
        self.commits = 0
        self.ends = threading.Semaphore(0)
        self.works = True
        self._journal = journal

    def append_encoded(self, bodies: Sequence[bytes]) -> None:
        self._journal.append_encoded(bodies)

    def commit(self) -> bool:
        self.commits += 1
        assert self.ends.acquire(timeout=10)
        return self._journal.commit() and self.works


@pytest.fixture
def slow(start_worker: Start) -> tuple[ThreadWorker, SlowDisk]:
    worker = start_worker(link(), answer_after_fsync=True)
    server = worker.worker.server
    assert server
    assert server._commits
    disk = SlowDisk(worker.worker.journal)
    server._journal = server._commits._journal = disk
    return worker, disk


def is_answered(client: Client, *, within_s: float) -> bool:
    client.sock.settimeout(within_s)
    try:
        return bool(client.sock.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        client.sock.settimeout(5)


def test_no_answer_leaves_before_its_click_is_on_the_disk(slow: tuple[ThreadWorker, SlowDisk]) -> None:
    worker, disk = slow
    client = worker.connect()
    client.send(REQUEST)
    eventually(lambda: disk.commits == 1)
    assert len(worker.lines()) == 1, "written before it is synced"
    assert not is_answered(client, within_s=0.2)
    disk.ends.release()
    assert client.read().status == 302


def test_who_comes_during_an_fsync_waits_for_the_next_one_and_all_of_them_share_it(
    slow: tuple[ThreadWorker, SlowDisk],
) -> None:
    worker, disk = slow
    first = worker.connect()
    first.send(REQUEST)
    eventually(lambda: disk.commits == 1)
    later = [worker.connect() for _ in range(10)]
    for client in later:
        client.send(REQUEST)
    eventually(lambda: len(worker.lines()) == 11)
    disk.ends.release()
    assert first.read().status == 302
    eventually(lambda: disk.commits == 2)
    assert not any(is_answered(client, within_s=0.02) for client in later), "that fsync began before their writes"
    disk.ends.release()
    assert {client.read().status for client in later} == {302}
    assert disk.commits == 2


def test_pipelined_requests_keep_their_order_over_several_fsyncs(slow: tuple[ThreadWorker, SlowDisk]) -> None:
    worker, disk = slow
    client = worker.connect()
    for number in range(3):
        client.send(b"GET /spring?n=%d HTTP/1.1\r\nHost: x\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    client.sock.shutdown(socket.SHUT_WR)
    for _ in range(6):
        disk.ends.release()
    answers = [client.read() for _ in range(6)]
    assert [answer.status for answer in answers] == [302, 404] * 3
    assert [f"n={number}" in answers[2 * number].location for number in range(3)] == [True] * 3
    assert client.at_end()


def test_a_disk_that_refuses_stops_no_redirect_and_is_counted(slow: tuple[ThreadWorker, SlowDisk]) -> None:
    worker, disk = slow
    disk.works = False
    disk.ends.release()
    assert worker.get("/spring").status == 302
    [counters] = read_all(worker.data_dir)
    assert counters.values["fsync_failures"] == 1


def test_a_worker_that_stops_gives_the_answers_that_wait(slow: tuple[ThreadWorker, SlowDisk]) -> None:
    worker, disk = slow
    client = worker.connect()
    client.send(REQUEST)
    eventually(lambda: disk.commits == 1)
    worker.begin_stop()
    disk.ends.release()
    assert client.read().status == 302
