"""The watch as it runs: real links, real pages, what it remembers and journals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

from core.destinations import AllowList
from core.errors import Conflict
from core.journal.writer import JournalWriter
from core.records import Check
from core.store.client import Store
from core.visits.guard import Guard
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.watch.check import Observation
from redirect.watch.config import WatchConfig
from redirect.watch.memory import Memory, Remembered
from redirect.watch.prober import Prober
from redirect.watch.visit import Visitor

from .shop import Names, Shop

if TYPE_CHECKING:
    from ...conftest import FakeClock, Ship

MINUTE = 60_000
INTERVAL_S = 600.0


class Notes:
    """A journal that keeps its records."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def append(self, record: Check) -> None:
        self.checks.append(record)


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.close()


class World:
    """Links in a control database, a shop, and the watch over both."""

    def __init__(self, control: Engine, shop: Shop, clock: FakeClock, journal: Any) -> None:
        self.control, self.shop, self.clock, self.journal = control, shop, clock, journal
        self.host = f"127.0.0.1:{shop.port}"
        self.base = f"http://{self.host}"
        self.links = LinkStore(control, allowed_destinations=[self.host], clock=clock)
        self.prober = self.start()

    def start(self, **settings: Any) -> Prober:
        config = WatchConfig(
            **{
                "interval_s": INTERVAL_S,
                "retry_s": 0.0,
                "host_pause_s": 0.0,
                "timeout_s": 30.0,
                "slow_s": 60.0,
                **settings,
            }
        )
        allowed = AllowList([self.host])
        visitor = Visitor(Guard(allowed, resolve=Names()), timeout_s=config.timeout_s, max_hops=config.max_hops)

        async def look(url: str) -> Observation:
            return await visitor.look(url, click_id="0af7651916cd43dd8448eb211c80319c")

        self.prober = Prober(self.control, self.journal, look, config=config, allowed=allowed, clock=self.clock)
        return self.prober

    def link(self, slug: str = "spring", path: str = "/p", **fields: Any) -> LinkDefinition:
        return self.links.add(LinkDefinition(slug=slug, destination=self.base + path, **fields), author="t").definition

    def run(self, ms: int) -> None:
        """Tick every ten seconds of the clock's time."""
        for _ in range(ms // 10_000):
            self.prober.tick(self.clock())
            self.clock.advance(10_000)

    def of(self, path: str = "/p") -> Remembered:
        return Memory(self.control).find([self.base + path])[self.base + path]


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def world(control: Engine, shop: Shop, clock: FakeClock, notes: Notes) -> World:
    return World(control, shop, clock, notes)


def test_every_destination_is_looked_at_once_per_interval_whatever_links_lead_there(world: World, notes: Notes) -> None:
    for slug in ("a", "b", "c"):
        world.link(slug, "/p", campaign="google:1:2")
    world.link("d", "/q")
    world.run(MINUTE)
    assert sorted(check.url for check in notes.checks) == [f"{world.base}/p", f"{world.base}/q"]
    [first] = [check for check in notes.checks if check.url.endswith("/p")]
    assert (first.links, first.campaigns, first.state, first.statuses) == (["a", "b", "c"], ["google:1:2"], "ok", [200])
    world.run(60 * MINUTE)
    # In 61 minutes each of the two comes six or seven times.
    assert 12 <= len(notes.checks) <= 14


def test_a_clock_that_was_an_hour_ahead_delays_no_look(world: World, notes: Notes) -> None:
    world.link()
    world.clock.advance(60 * MINUTE)
    world.run(MINUTE)
    assert len(notes.checks) == 1
    world.clock.advance(-61 * MINUTE)
    world.run(30 * MINUTE)
    assert 3 <= len(notes.checks) <= 5, "one a look at once, then one per interval"


def test_a_page_that_fails_is_confirmed_before_it_is_told(world: World, notes: Notes) -> None:
    answers = iter([(500, {}, b"")])
    world.shop.answers["/p"] = lambda _path: next(answers, (200, {}, b"<title>Shop</title>"))
    world.link()
    world.run(MINUTE)
    assert len(world.shop.visits) == 2
    assert [check.state for check in notes.checks] == ["ok"]


def test_a_page_that_goes_on_failing_is_told_and_its_end_is_seen_soon(world: World, notes: Notes) -> None:
    world.link()
    world.run(MINUTE)
    world.shop.answers["/p"] = (500, {}, b"")
    world.run(17 * MINUTE)
    assert (notes.checks[-1].state, notes.checks[-1].findings) == ("failing", ["http_error"])
    assert world.of().state == "failing"
    world.shop.answers.clear()
    world.run(4 * MINUTE)
    assert (notes.checks[-1].state, notes.checks[-1].findings) == ("ok", [])


def test_what_is_known_already_is_not_confirmed_again(world: World) -> None:
    world.shop.answers["/p"] = (404, {}, b"")
    world.link()
    world.run(MINUTE)
    before = len(world.shop.visits)
    assert before == 2
    world.prober.check([f"{world.base}/p"])
    assert len(world.shop.visits) == before + 1


def test_a_change_is_measured_against_the_first_good_look_until_a_person_accepts_it(world: World, notes: Notes) -> None:
    world.link()
    world.run(MINUTE)
    world.shop.redirect("/p", "/summer")
    world.prober.check([f"{world.base}/p"])
    assert (notes.checks[-1].state, notes.checks[-1].findings) == ("changed", ["final_url_changed"])
    world.prober.accept([f"{world.base}/p"], by="ann")
    assert (world.of().state, notes.checks[-1].state, notes.checks[-1].accepted_by) == ("ok", "ok", "ann")
    world.prober.check([f"{world.base}/p"])
    assert notes.checks[-1].state == "ok"


def test_a_page_that_does_not_work_cannot_be_accepted(world: World) -> None:
    world.link()
    with pytest.raises(Conflict, match="not_checked"):
        world.prober.accept([f"{world.base}/p"], by="ann")
    world.shop.answers["/p"] = (500, {}, b"")
    world.prober.check([f"{world.base}/p"])
    with pytest.raises(Conflict, match="failing"):
        world.prober.accept([f"{world.base}/p"], by="ann")


def test_a_restart_remembers_what_was_expected_and_comes_to_nobody_early(world: World, notes: Notes) -> None:
    world.link()
    world.run(MINUTE)
    assert len(notes.checks) == 1
    world.start()
    world.run(10_000)
    assert len(notes.checks) == 1
    world.shop.answers["/p"] = (200, {}, b"<title>Parked</title>")
    world.run(17 * MINUTE)
    assert notes.checks[-1].findings == ["title_changed"]


def test_a_link_that_is_edited_ends_what_was_found_where_it_led(world: World, notes: Notes) -> None:
    world.shop.answers["/p"] = (404, {}, b"")
    world.link()
    world.run(MINUTE)
    assert notes.checks[-1].state == "failing"
    link = world.links.find("spring")
    world.links.edit(link.link_id, {"destination": f"{world.base}/q"}, author="t")
    world.run(MINUTE)
    assert [(check.url.rpartition("/")[2], check.state) for check in notes.checks[1:]] == [("p", "unused"), ("q", "ok")]
    assert set(Memory(world.control).load()) == {f"{world.base}/q"}


def test_what_was_accepted_outlives_a_link_that_is_switched_off_for_a_while(world: World, notes: Notes) -> None:
    world.shop.redirect("/p", "/q", keep_query=False)
    world.link()
    world.run(MINUTE)
    assert notes.checks[-1].findings == ["click_id_lost"]
    world.prober.accept([f"{world.base}/p"], by="ann")
    link = world.links.find("spring")
    world.links.disable(link.link_id, author="t")
    world.run(MINUTE)
    world.links.disable(link.link_id, author="t", disabled=False)
    world.run(17 * MINUTE)
    assert (notes.checks[-1].state, notes.checks[-1].findings) == ("ok", [])


def test_hosts_are_visited_side_by_side_but_each_by_one_look_at_a_time(world: World) -> None:
    busy = most = 0
    lock = threading.Lock()

    def answer(_path: str) -> Any:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return 200, {}, b""

    for number in range(6):
        world.link(f"l{number}", f"/{number}")
        world.shop.answers[f"/{number}"] = answer
    world.run(MINUTE)
    assert (len(world.shop.visits), most) == (6, 1)


def test_a_pause_lies_between_two_looks_at_one_host(world: World) -> None:
    for number in range(3):
        world.link(f"l{number}", f"/{number}")
    prober = world.start(host_pause_s=0.15)
    started = time.monotonic()
    prober.check([f"{world.base}/{number}" for number in range(3)])
    assert time.monotonic() - started >= 0.3


def test_a_stop_does_not_wait_for_a_page_that_never_answers(world: World) -> None:
    world.shop.delay_s = 30.0
    world.link()
    prober = world.start(timeout_s=30.0)
    thread = threading.Thread(target=lambda: prober.check([f"{world.base}/p"]))
    started = time.monotonic()
    thread.start()
    while not world.shop.visits:
        time.sleep(0.01)
    prober.stop()
    thread.join(20)
    assert time.monotonic() - started < 15.0


def test_a_look_that_breaks_in_an_unexpected_way_stops_no_other(world: World, notes: Notes) -> None:
    world.link("a", "/a")
    world.link("b", "/b")
    good = world.prober._look

    async def look(url: str) -> Observation:
        if url.endswith("/a"):
            raise RuntimeError("surprise")
        return await good(url)

    world.prober._look = look
    world.run(MINUTE)
    assert [check.url for check in notes.checks] == [f"{world.base}/b"]


def test_checks_are_in_the_store_with_all_they_say(
    control: Engine, shop: Shop, clock: FakeClock, journal: JournalWriter, store: Store, ship: Ship
) -> None:
    world = World(control, shop, clock, journal)
    world.link(campaign="google:1:2", client="acme")
    world.prober.check([f"{world.base}/p"])
    shop.answers["/p"] = (404, {}, b"")
    clock.advance(MINUTE)
    world.prober.check([f"{world.base}/p"])
    assert ship().dead_letters == 0
    rows = store.rows(
        "SELECT url, host, state, findings, details, links, campaigns, clients, statuses, final_url, title, click_id_survived,"
        " toUnixTimestamp64Milli(holds_until) - toUnixTimestamp64Milli(ts) AS holds FROM check ORDER BY ts"
    )
    assert [row["state"] for row in rows] == ["ok", "failing"]
    assert rows[1]["findings"] == ["http_error"]
    assert rows[1]["details"] == ["The page answers 404."]
    assert rows[0]["title"] == "Spring sale"
    assert rows[0]["click_id_survived"] is True
    assert (rows[1]["links"], rows[1]["campaigns"], rows[1]["clients"]) == (["spring"], ["google:1:2"], ["acme"])
    assert {row["holds"] for row in rows} == {3 * 600_000}
