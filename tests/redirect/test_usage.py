"""`max_clicks`: every worker counts for itself at once and for the others a moment later; nothing is lost or counted twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.exc import OperationalError

from core.control.tables import link_usage
from redirect.usage import Usage
from redirect.usage_sync import Identity, UsageSync

from .live_worker import ProcessWorker, link


class Counting:
    """One worker's counting; `hit` is what a request does."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.usage = Usage()
        self.sync = UsageSync(engine, self.usage, worker=name)

    def hit(self, limit: int, *, link_id: str = "l") -> bool:
        if self.usage.exhausted(link_id, limit):
            return False
        self.usage.count(link_id)
        return True


def counted(engine: Engine, link_id: str = "l") -> int:
    query = select(func.coalesce(func.sum(link_usage.c.clicks), 0)).where(link_usage.c.link_id == link_id)
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'usage.sqlite'}")
    link_usage.create(engine)
    yield engine
    engine.dispose()


def test_one_worker_lets_through_exactly_the_limit_without_asking_anybody(table: Engine) -> None:
    worker = Counting(table, "a")
    assert [worker.hit(3) for _ in range(5)] == [True, True, True, False, False]
    assert counted(table) == 0


def test_clicks_of_another_worker_count_after_both_exchanged(table: Engine) -> None:
    first, second = Counting(table, "a"), Counting(table, "b")
    assert [first.hit(3), first.hit(3), second.hit(3)] == [True, True, True]
    first.sync.exchange()
    second.sync.exchange()
    assert second.hit(3) is False
    assert first.hit(3), "it has not read since: the overshoot"
    first.sync.exchange()
    assert first.hit(3) is False
    assert counted(table) == 4


def test_a_limit_that_is_raised_lets_more_through(table: Engine) -> None:
    worker = Counting(table, "a")
    assert [worker.hit(2) for _ in range(3)] == [True, True, False]
    assert [worker.hit(4) for _ in range(3)] == [True, True, False]


def test_a_worker_that_was_killed_goes_on_from_its_row(table: Engine) -> None:
    first = Counting(table, "a")
    for _ in range(5):
        first.hit(10)
    first.sync.exchange()
    second = Counting(table, "a")
    second.hit(10)
    second.sync.exchange()
    assert counted(table) == 6
    assert [second.hit(10) for _ in range(5)] == [True, True, True, True, False]
    second.sync.exchange()
    assert counted(table) == 10


def test_a_commit_that_fails_is_made_up_for(table: Engine) -> None:
    worker = Counting(table, "a")
    worker.hit(9)

    def refuse(_connection: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event.listen(table, "commit", refuse)
    assert worker.sync.exchange() is False
    event.remove(table, "commit", refuse)
    assert worker.sync.exchange()
    assert (counted(table), worker.sync.failures) == (1, 1)


def test_many_links_are_exchanged_in_strides(table: Engine) -> None:
    worker, other = Counting(table, "a"), Counting(table, "b")
    for number in range(1100):
        worker.hit(1, link_id=f"l{number}")
    worker.sync.exchange()
    assert all(other.hit(1, link_id=f"l{number}") for number in range(1100))
    other.sync.exchange()
    assert not any(other.hit(1, link_id=f"l{number}") for number in range(1100))


STEPS = st.lists(
    st.tuples(st.sampled_from(["hit", "hit", "hit", "exchange", "fail", "kill"]), st.integers(0, 2)), max_size=60
)


@given(steps=STEPS, limit=st.integers(1, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_rows_say_what_was_let_through_and_not_killed(
    steps: list[tuple[str, int]], limit: int
) -> None:
    engine = create_engine("sqlite://")
    link_usage.create(engine)
    workers = [Counting(engine, name) for name in "abc"]
    through, unwritten = 0, [0, 0, 0]

    def refuse(_connection: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("away"))

    for step, index in steps:
        worker = workers[index]
        if step == "hit":
            known = worker.usage.own.get("l", 0) + worker.usage.elsewhere.get("l", 0)
            assert worker.hit(limit) is (known < limit)
            through += known < limit
            unwritten[index] += known < limit
        elif step == "exchange":
            assert worker.sync.exchange()
            unwritten[index] = 0
        elif step == "fail":
            event.listen(engine, "commit", refuse)
            worker.sync.exchange()
            event.remove(engine, "commit", refuse)
        else:
            through -= unwritten[index]
            unwritten[index] = 0
            workers[index] = Counting(engine, "abc"[index])
        assert counted(engine) == through - sum(unwritten)
    for worker in workers:
        worker.usage.exhausted("l", limit)
        worker.sync.exchange()
    assert counted(engine) == through
    for worker in workers:
        worker.usage.exhausted("l", limit)
        worker.sync.exchange()
    assert [worker.usage.exhausted("l", limit) for worker in workers] == [through >= limit] * 3
    engine.dispose()


def test_no_two_living_workers_write_the_same_rows_and_a_successor_finds_its_own(tmp_path: Path) -> None:
    draining = Identity(tmp_path, index=0)
    successor, other, elsewhere = (
        Identity(tmp_path, index=0),
        Identity(tmp_path, index=1),
        Identity(tmp_path / "n", index=0),
    )
    names = [draining.name, successor.name, other.name, elsewhere.name]
    assert len(set(names)) == 4
    draining.release()
    draining.release()
    third = Identity(tmp_path, index=0)
    assert third.name == draining.name
    for identity in (successor, other, elsewhere, third):
        identity.release()


def test_a_worker_counts_even_where_it_can_write_no_file(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text("in the way")
    first, second = Identity(tmp_path, index=0), Identity(tmp_path, index=0)
    assert first.name != second.name
    first.release()


def test_counting_and_exchanging_at_the_same_time_loses_nothing(table: Engine) -> None:
    worker = Counting(table, "a")
    worker.sync = UsageSync(table, worker.usage, worker="a", interval_s=0.001)
    worker.sync.start()
    for number in range(20_000):
        worker.hit(10**9, link_id=f"l{number % 7}")
    worker.sync.stop()
    assert sum(counted(table, f"l{number}") for number in range(7)) == 20_000


def test_two_workers_stop_a_link_within_two_seconds_of_its_last_click(
    start_process: Callable[..., ProcessWorker],
) -> None:
    first = start_process(link(max_clicks=40))
    first.start(index=1)
    clients = [first.connect(timeout_s=30) for _ in range(16)]
    statuses, reached, last = [], 0.0, 0.0
    while not reached or time.monotonic() < reached + 2.5:
        for client in clients:
            statuses.append(client.get("/spring").status)
            last = time.monotonic() if statuses[-1] == 302 else last
            reached = reached or (last if statuses.count(302) == 40 else 0.0)
        time.sleep(0.2)
    assert last - reached < 2.0
    assert statuses[-16:] == [410] * 16, "on both workers"
    reasons = [line["reason"] for line in first.lines()]
    assert reasons.count("redirected") == statuses.count(302)
    assert reasons.count("max_clicks_reached") == statuses.count(410)
    assert counted(first.control, first.links.find("spring").link_id) == statuses.count(302)
