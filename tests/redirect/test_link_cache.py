"""Links in a worker's memory: fresh within a refresh, served on when the database is away; salts of the day."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from core.clock import DAY_MS
from core.control.engine import open_control
from core.control.tables import salts
from redirect.destinations import AllowList
from redirect.link_cache import LinkCache
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.live_link import LinkTable
from redirect.privacy import Networks
from redirect.salts import Salts

NOW = 1_790_000_000_000
ALLOWED = ["shop.example"]


class Cached:
    def __init__(self, control: Engine) -> None:
        self.table = LinkTable()
        self.networks = Networks()
        self.cache = LinkCache(control, self.table, self.networks, allowed=AllowList(ALLOWED))
        self.links = LinkStore(control, allowed_destinations=ALLOWED)

    def add(self, slug: str, **fields: str) -> str:
        definition = LinkDefinition(slug=slug, destination="https://shop.example/p", **fields)
        return self.links.add(definition, author="t").link_id


@pytest.fixture
def cached(control: Engine) -> Cached:
    return Cached(control)


def test_a_refresh_reads_what_changed(cached: Cached) -> None:
    link_id = cached.add("a")
    assert cached.cache.refresh(NOW)
    live = cached.table.find(b"x", b"/a")
    assert live
    assert (live.version, live.decision.target.outcome, live.decision.target.location) == (
        1,
        "redirected",
        b"https://shop.example/p?",
    )
    cached.links.edit(link_id, {"destination": "https://shop.example/q?own=1#f", "answer": "unavailable"}, author="t")
    cached.add("b")
    assert cached.cache.refresh(NOW + 500)
    live = cached.table.find(b"x", b"/a")
    assert live
    assert (live.version, live.decision.target.outcome, live.decision.target.location) == (2, "unavailable", b"")
    assert len(cached.table) == 2


def test_a_change_that_commits_late_with_an_earlier_time_is_still_seen(cached: Cached, control: Engine) -> None:
    cached.add("a")
    late = cached.add("late")
    cached.cache.refresh(NOW)
    cached.links.edit(late, {"note": "x", "answer": "unavailable"}, author="t")
    with control.begin() as connection:
        connection.execute(text("UPDATE links SET updated_at = updated_at - 3000 WHERE slug = 'late'"))
    cached.cache.refresh(NOW)
    live = cached.table.find(b"x", b"/late")
    assert live
    assert live.decision.target.outcome == "unavailable"


def test_links_are_served_on_while_the_database_is_away(cached: Cached, control: Engine) -> None:
    cached.add("a")
    cached.cache.refresh(NOW)
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE links RENAME TO gone"))
    assert cached.cache.refresh(NOW + 1000) is False
    assert (cached.cache.failures, cached.cache.refreshed_at) == (1, NOW)
    assert cached.table.find(b"x", b"/a")
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO links"))
    assert cached.cache.refresh(NOW + 2000)


def test_a_database_without_schema_is_an_empty_table_and_no_crash(tmp_path: Path) -> None:
    engine = open_control("", tmp_path, migrate=False)
    table = LinkTable()
    assert LinkCache(engine, table, Networks(), allowed=AllowList([])).refresh(NOW) is False
    assert len(table) == 0
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
