"""Comparing a store with itself after a rebuild: what makes two tables different, and that every table is looked at."""

from __future__ import annotations

import msgspec
import pytest

from app.bench.checksums import OF_THE_STORE, Sum, checksums, differing
from app.bench.days import Days, campaign_of
from app.bench.rebuild import State, missed
from core.clock import DAY_MS, MINUTE_MS
from core.journal.writer import JournalWriter
from core.records import Click, Conversion, Kinds
from core.store.client import Store
from core.store.retention import WORKING
from tests.conftest import START_MS, Ship

MIDNIGHT = START_MS - START_MS % DAY_MS


@pytest.fixture
def filled(store: Store, journal: JournalWriter, ship: Ship) -> Store:
    """A few minutes of a shop."""
    shop = Days(begins=MIDNIGHT, clicks_a_minute=5)
    for minute in range(3):
        journal.append_many(shop.minute(MIDNIGHT + minute * MINUTE_MS))
    ship()
    return store


_NOW = "SETTINGS mutations_sync = 1"
CHANGES = [
    (
        "click",
        f"ALTER TABLE click DELETE WHERE visitor_id IN (SELECT max(visitor_id) FROM click) {_NOW}, allow_nondeterministic_mutations = 1",
    ),
    ("campaign", "INSERT INTO campaign SELECT * FROM campaign LIMIT 1"),
    ("campaign", f"ALTER TABLE campaign UPDATE margin_micros = margin_micros + 1 WHERE endsWith(campaign, '7') {_NOW}"),
    ("hit_flag", "INSERT INTO hit_flag (segment, o, flags) VALUES ('s', 1, ['burst'])"),
    ("conversion_match", "INSERT INTO conversion_match (fact_id, value_micros) VALUES ('f', 1)"),
]


def test_what_differs_is_named_by_its_table_and_what_is_only_our_own_work_makes_no_difference(filled: Store) -> None:
    before = checksums(filled)
    for table in ("click", "campaign", "traffic_window"):
        filled.command(f"OPTIMIZE TABLE {table} FINAL")
    filled.command(
        "INSERT INTO traffic_window (kind, window, judged_at) SELECT kind, window, now64(3) FROM traffic_window"
    )
    filled.command("INSERT INTO hit_flag (segment, o) VALUES ('acquitted', 1)")
    assert differing(before, checksums(filled)) == []
    for table, change in CHANGES:  # a row too few, too many, changed, or nowhere in the journal
        filled.command(change)
        after = checksums(filled)
        told = differing(before, after)
        # A match marks the window it lies in.
        marked = ["traffic_window"] if table == "conversion_match" else []
        assert [line.partition(":")[0] for line in told] == [table, *marked]
        before = after


def test_a_table_an_answer_or_a_segment_that_differs_is_missed_and_so_is_what_was_never_there() -> None:
    rows = Sum(rows=1, total=2, mixed=3)
    good = State(store_id="a", sums={"click": rows, "incident": rows}, answers={"roi": b"1"})
    same = msgspec.structs.replace(good, store_id="b")
    assert missed(good, same) == []
    for other, word in (
        (good, "dropped"),
        (msgspec.structs.replace(same, answers={"roi": b"2"}), "roi"),
        (msgspec.structs.replace(same, sums={**good.sums, "incident": Sum(rows=2, total=2, mixed=3)}), "incident"),
        (msgspec.structs.replace(same, sums={"click": rows}), "incident"),
        (msgspec.structs.replace(same, troubles=["1 dead letters"]), "dead letters"),
    ):
        (told,) = missed(good, other)
        assert word in told
    empty = msgspec.structs.replace(good, sums={"click": rows, "incident": Sum(rows=0, total=0, mixed=0)})
    assert missed(empty, msgspec.structs.replace(empty, store_id="b")) == ["nothing in incident: not proven"]


def test_every_table_that_holds_rows_is_summed_up_unless_it_only_serves_a_running_tick(store: Store) -> None:
    rows = store.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
    assert {str(row["name"]) for row in rows} == checksums(store).keys() | WORKING | OF_THE_STORE
    assert Kinds.BY_NAME.keys() <= checksums(store).keys()


def test_a_shops_days_have_every_kind_and_follow_from_their_seed() -> None:
    def told(seed: int) -> list[object]:
        shop = Days(begins=MIDNIGHT, clicks_a_minute=20, seed=seed)
        return [record for minute in range(600) for record in shop.minute(MIDNIGHT + minute * MINUTE_MS)]

    records = told(1)
    assert {type(record) for record in records} == set(Kinds.BY_NAME.values())
    assert records == told(1) != told(2)
    lives: dict[str, set[str]] = {}
    for record in records:
        if isinstance(record, Conversion) and record.origin == "backend":
            lives.setdefault(record.fact_id, set()).add(record.status)
    assert any(len(states) > 1 for states in lives.values())
    assert any(isinstance(record, Click) and record.campaign == campaign_of(0) for record in records)
