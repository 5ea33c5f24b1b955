"""How often links were hit is read from the store, for the audit."""

from __future__ import annotations

from core.journal.writer import JournalWriter
from core.records import Click
from core.store.client import Store
from redirect.links.audit import Use
from redirect.links.use import read_use

from ..conftest import Ship

NOW = 1_790_000_000_000
DAY = 86_400_000


def test_hits_of_90_days_and_those_of_the_week_that_found_the_link_off(
    store: Store, journal: JournalWriter, ship: Ship
) -> None:
    hits = [
        ("a", 1, "redirected"),
        ("a", 80, "redirected"),
        ("a", 100, "redirected"),
        ("off", 2, "disabled"),
        ("off", 30, "disabled"),
    ]
    for number, (link_id, days, reason) in enumerate(hits):
        journal.append(
            Click(
                ts=NOW - days * DAY, source="redirect", click_id=f"{number + 1:032x}", hit_id=f"{number + 1:016x}", link_id=link_id,
                link_version=1, slug=link_id, domain="", http_status=302 if reason == "redirected" else 410, reason=reason, duration_us=1,
            )
        )  # fmt: skip
    ship()
    assert read_use(store, NOW) == {
        "a": Use(last_90_days=2),
        "off": Use(last_90_days=2, disabled_last_week=1),
    }
