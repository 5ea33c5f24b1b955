"""Links of a worker: read when they are hit, fresh within a refresh, served on when the database is away; salts of the day."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, delete, select, text

from core.clock import DAY_MS
from core.control.engine import open_control
from core.control.tables import links, salts
from core.destinations import AllowList
from redirect.compiled import Loader
from redirect.link_cache import LinkCache
from redirect.link_source import PAUSE_S, SqliteLinks
from redirect.link_table import LinksUnavailable, LinkTable
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.privacy import Networks
from redirect.salts import Salts

NOW = 1_790_000_000_000
ALLOWED = ["shop.example"]


class Cached:
    def __init__(self, control: Engine) -> None:
        self.seconds = 0.0
        assert control.url.database
        self.source = SqliteLinks(
            Path(control.url.database), loader=Loader(AllowList(ALLOWED)), timer=lambda: self.seconds
        )
        self.table = LinkTable(self.source)
        self.networks = Networks()
        self.cache = LinkCache(control, self.table, self.networks, allowed=AllowList(ALLOWED))
        self.links = LinkStore(control, allowed_destinations=ALLOWED)

    def outcome(self, path: str, *, host: str = "x") -> str:
        """How a hit would end, "" when there is no such link."""
        live = self.table.find(host.encode(), path.encode())
        return live.decision.target.outcome if live else ""

    def add(self, slug: str, **fields: Any) -> str:
        definition = LinkDefinition(slug=slug, destination="https://shop.example/p", **fields)
        return self.links.add(definition, author="t").link_id


@pytest.fixture
def cached(control: Engine) -> Cached:
    return Cached(control)


def test_a_link_is_read_when_it_is_hit_and_only_then(cached: Cached) -> None:
    cached.add("a")
    cached.cache.refresh(NOW)
    assert (len(cached.table), cached.table.reads) == (0, 0)
    assert [cached.outcome("/a"), cached.outcome("/a")] == ["redirected", "redirected"]
    assert (len(cached.table), cached.table.reads) == (1, 1)


def test_a_refresh_takes_over_what_changed_where_it_is_in_memory(cached: Cached) -> None:
    link_id, other = cached.add("a"), cached.add("b")
    cached.cache.refresh(NOW)
    assert cached.outcome("/a") == "redirected"
    cached.links.edit(link_id, {"destination": "https://shop.example/q?own=1#f"}, author="t")
    cached.links.edit(other, {"answer": "unavailable"}, author="t")
    assert cached.outcome("/a") == "redirected", "nothing was refreshed yet"
    assert cached.cache.refresh(NOW + 500)
    live = cached.table.find(b"x", b"/a")
    assert live
    target = live.decision.target
    assert (live.version, target.location, target.tail) == (2, b"https://shop.example/q?own=1&", b"#f")
    assert len(cached.table) == 1, "the other one was not hit"
    assert cached.outcome("/b") == "unavailable"
    assert cached.table.reads == 2


def test_many_changes_at_once_are_all_taken_over(cached: Cached) -> None:
    definitions = [LinkDefinition(slug=f"s{n}", destination="https://shop.example/p") for n in range(1200)]
    made = cached.links.save(new=definitions, author="t")
    cached.cache.refresh(NOW)
    assert {cached.outcome(f"/s{n}") for n in range(1200)} == {"redirected"}
    off = [(link, msgspec.structs.replace(link.definition, disabled=True)) for link in made]
    cached.links.save(replaced=off, author="t")
    cached.cache.refresh(NOW)
    assert {cached.outcome(f"/s{n}") for n in range(1200)} == {"disabled"}
    assert cached.table.reads == 1200


def test_a_new_link_of_a_domain_comes_before_the_one_of_every_domain_even_in_memory(cached: Cached) -> None:
    cached.add("a")
    cached.cache.refresh(NOW)
    assert cached.outcome("/a", host="go.example") == "redirected"
    cached.add("a", domain="go.example", disabled=True)
    cached.cache.refresh(NOW)
    assert cached.outcome("/a", host="go.example") == "disabled"
    assert cached.outcome("/a", host="GO.example:8081") == "disabled"
    assert cached.outcome("/a", host="other.example") == "redirected"
    cached.add("b", domain="go.example")
    cached.cache.refresh(NOW)
    assert (cached.outcome("/b", host="go.example"), cached.outcome("/b")) == ("redirected", "")


def test_a_worker_knows_the_domains_from_its_start(cached: Cached) -> None:
    for domain in ("b.example", "a.example", "c.example"):
        cached.add("s", domain=domain)
    cached.cache.refresh(NOW)
    assert [cached.outcome("/s", host=host) for host in ("a.example", "c.example", "d.example")] == [
        "redirected",
        "redirected",
        "",
    ]


def test_change_numbers_rise_by_one_whoever_writes(cached: Cached, control: Engine) -> None:
    first, second = cached.add("a"), cached.add("b")
    cached.links.edit(first, {"note": "x"}, author="t")
    with control.connect() as connection:
        rows = connection.execute(select(links.c.link_id, links.c.change).order_by(links.c.change)).all()
    assert [tuple(row) for row in rows] == [(second, 2), (first, 3)]


def test_no_change_is_missed_however_writers_and_readers_meet(cached: Cached) -> None:
    made = cached.links.save(
        new=[LinkDefinition(slug=f"s{n}", destination="https://shop.example/p") for n in range(4)], author="t"
    )
    cached.cache.refresh(NOW)
    for link in made:
        cached.table.find(b"x", f"/{link.definition.slug}".encode())

    def write(link_id: str) -> None:
        for number in range(10):
            cached.links.edit(link_id, {"note": str(number)}, author="t")

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, link.link_id) for link in made]
        while not all(writer.done() for writer in writers):
            assert cached.cache.refresh(NOW)
        for writer in writers:
            writer.result()
    cached.cache.refresh(NOW)
    found = [cached.table.find(b"x", f"/s{n}".encode()) for n in range(4)]
    assert [live.version for live in found if live] == [11] * 4
    assert cached.table.reads == 4, "each was only replaced"


def test_a_database_that_went_back_to_a_backup_is_believed(cached: Cached, control: Engine) -> None:
    link_id = cached.add("a")
    cached.links.edit(link_id, {"disabled": True}, author="t")
    cached.cache.refresh(NOW)
    assert cached.outcome("/a") == "disabled"
    with control.begin() as connection:
        connection.execute(delete(links))
    cached.cache.refresh(NOW)
    assert cached.outcome("/a") == ""


def test_a_destination_that_is_no_longer_allowed_is_refused_although_it_was_prepared(cached: Cached) -> None:
    cached.add("a")
    stricter = LinkTable(SqliteLinks(cached.source.path, loader=Loader(AllowList(["other.example"]))))
    live = stricter.find(b"x", b"/a")
    assert live
    assert live.decision.target.outcome == "destination_not_allowed"
    assert live.decision.target.location == b""


def test_reads_of_one_tick_see_one_state_and_leave_the_log_free_afterwards(cached: Cached) -> None:
    ends: list[Callable[[], None]] = []
    cached.source.at_end_of_tick = ends.append
    cached.add("a")
    cached.add("b")
    assert cached.outcome("/a") == "redirected"
    cached.add("c")
    assert [cached.outcome("/b"), cached.outcome("/c")] == ["redirected", ""]
    assert len(ends) == 1, "one transaction for the tick"
    ends.pop()()
    assert cached.outcome("/c") == "redirected"
    with sqlite3.connect(cached.source.path, timeout=0) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 1, "a reader holds the log"
    ends.pop()()
    with sqlite3.connect(cached.source.path, timeout=0) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_links_in_memory_are_served_on_while_the_database_is_away(cached: Cached, control: Engine) -> None:
    cached.add("a")
    cached.add("b")
    cached.cache.refresh(NOW)
    assert cached.outcome("/a") == "redirected"
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE links RENAME TO gone"))
    assert cached.cache.refresh(NOW + 1000) is False
    assert (cached.cache.failures, cached.cache.refreshed_at) == (1, NOW)
    assert cached.outcome("/a") == "redirected"
    with pytest.raises(LinksUnavailable):
        cached.table.find(b"x", b"/b")
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO links"))
    assert cached.cache.refresh(NOW + 2000)
    with pytest.raises(LinksUnavailable):
        cached.table.find(b"x", b"/b")
    assert cached.source.failures == 1, "nothing was tried during the pause"
    cached.seconds = PAUSE_S
    assert cached.outcome("/b") == "redirected"


def test_a_locked_database_holds_up_a_hit_for_a_moment_only(cached: Cached, control: Engine) -> None:
    cached.add("a")
    control.dispose()
    locker = sqlite3.connect(cached.source.path, isolation_level=None)
    locker.execute("PRAGMA locking_mode = EXCLUSIVE")
    locker.execute("BEGIN EXCLUSIVE")
    started = time.perf_counter()
    with pytest.raises(LinksUnavailable):
        cached.table.find(b"x", b"/a")
    assert time.perf_counter() - started < 0.2
    started = time.perf_counter()
    for _ in range(1000):
        with pytest.raises(LinksUnavailable):
            cached.table.find(b"x", b"/a")
    assert time.perf_counter() - started < 0.2, "the others do not even try"
    locker.close()
    cached.seconds = PAUSE_S
    assert cached.outcome("/a") == "redirected"


def test_a_database_without_schema_is_no_crash(tmp_path: Path) -> None:
    engine = open_control("", tmp_path, migrate=False)
    table = LinkTable(SqliteLinks(tmp_path / "control.sqlite", loader=Loader(AllowList([]))))
    assert LinkCache(engine, table, Networks(), allowed=AllowList([])).refresh(NOW) is False
    with pytest.raises(LinksUnavailable):
        table.find(b"x", b"/a")
    engine.dispose()


def test_all_workers_share_the_salt_of_the_day_and_it_changes_at_midnight(control: Engine) -> None:
    first, second = Salts(control), Salts(control)
    today = first.refresh(NOW)
    assert second.refresh(NOW) == today
    assert len(today) == 32
    tomorrow = first.refresh(NOW + DAY_MS)
    assert tomorrow != today
    assert second.known(NOW + DAY_MS) == tomorrow, "it was made and read ahead of time"


def test_salts_are_destroyed_after_two_days(control: Engine) -> None:
    keeper = Salts(control)
    for day in range(6):
        keeper.refresh(NOW + day * DAY_MS)
    with control.connect() as connection:
        days = [row.day for row in connection.execute(select(salts.c.day).order_by(salts.c.day))]
    assert days == ["2026-09-25", "2026-09-26", "2026-09-27"], "yesterday, today, tomorrow"


def test_yesterdays_salt_is_not_used_when_the_database_is_away_for_days(cached: Cached, control: Engine) -> None:
    cached.cache.refresh(NOW)
    hashed = cached.networks.hash("203.0.113.7")
    assert hashed
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE salts RENAME TO gone"))
    cached.cache.refresh(NOW + DAY_MS)
    assert cached.networks.hash("203.0.113.7") not in ("", hashed)
    cached.cache.refresh(NOW + 2 * DAY_MS)
    assert cached.networks.hash("203.0.113.7") == ""
