"""What past days teach about how late facts come: facts through the journal, learned in the tick after midnight."""

from __future__ import annotations

from typing import Any

import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.journal.writer import JournalWriter
from correlator.development import AGES_MS
from correlator.learned import Learned, learn_days, read_learned
from tests.correlator.conftest import moment

HOUR, A_DAY = AGES_MS.index(HOUR_MS), AGES_MS.index(DAY_MS)
FIRST = moment("2026-09-01T00:00:00Z")


@pytest.fixture
def journal(one_segment: JournalWriter) -> JournalWriter:
    return one_segment


def day(number: int, hour: float = 0.0) -> int:
    return FIRST + number * DAY_MS + round(hour * HOUR_MS)


def live(world: Any, days: int) -> None:
    """Each day four leads at nine: one known at once, two after 40 minutes, one after five hours; the platform tells the hour's spend in
    two versions. A fifth lead is known at once and rejected after two hours."""
    for number in range(days):
        at = day(number, 9)
        for late in (1, 40 * MINUTE_MS, 40 * MINUTE_MS, 5 * HOUR_MS):
            world.conversion(at, known=at + late, type="lead", status="captured")
        for status, late in (("captured", 1), ("rejected", 2 * HOUR_MS)):
            world.conversion(at, known=at + late, type="lead", status=status, conversion_id=f"no-{number}")
        for cost, late in ((60, 1.5), (80, 12.5)):
            world.spend(f"2026-09-{number + 1:02d}T09:00:00Z", cost, known=at + round(late * HOUR_MS))


def of(found: list[Learned], kind: str) -> Learned:
    (one,) = [entry for entry in found if entry.kind == kind]
    return one


def test_past_days_teach_the_share_known_at_each_age(world: Any) -> None:
    live(world, 6)
    world.settle(day(6, 1))
    found = read_learned(world.store, at=day(6, 1), history_days=28)
    leads = of(found, "conversion")
    assert (leads.source, leads.origin, leads.name) == ("push", "backend", "lead")
    # The first day of a source tells nothing of how fast it is, the last one has no age yet. Of five known at once four will stay.
    assert (leads.pattern.days, leads.pattern.final) == (4, 16.0)
    assert [leads.pattern.shares[age] for age in (0, HOUR, A_DAY)] == [2 / 4, 4 / 4, 1.0]
    assert leads.pattern.shares[AGES_MS.index(2 * HOUR_MS)] == 3 / 4
    spend = of(found, "spend")
    # By the bucket's middle: told first an hour after it, then twelve.
    assert [spend.pattern.shares[age] for age in (0, HOUR, A_DAY)] == [0.0, 0.75, 1.0]
    assert spend.pattern.final == 4 * 80e6


def test_learning_day_by_day_or_at_once_gives_the_same_rows(world: Any) -> None:
    def rows() -> list[dict[str, Any]]:
        return [dict(row) for row in world.store.rows("SELECT * FROM known_by_age FINAL ORDER BY ALL")]

    live(world, 4)
    world.settle(day(4, 1))
    for number in range(4):  # facts of days that are over, learned of later
        world.conversion(day(number, 10), known=day(5, number), type="lead")
    world.settle(day(6, 1))
    by_steps = rows()
    world.settle(day(6, 2))
    assert rows() == by_steps, "a second tick of the day changes nothing"
    world.store.command("TRUNCATE TABLE known_by_age")
    assert learn_days(world.store, through=day(6)) == len(by_steps) - 1
    assert rows() == by_steps


def test_what_was_taught_as_of_a_day_stays_so(world: Any) -> None:
    live(world, 5)
    world.settle(day(5, 1))
    then = read_learned(world.store, at=day(5, 1), history_days=28)
    for number in range(1, 5):
        world.conversion(day(number, 9), known=day(6, 1), type="lead")
    world.settle(day(8, 1))
    assert read_learned(world.store, at=day(5, 1), history_days=28) == then
    assert read_learned(world.store, at=day(8, 1), history_days=28) != then


def test_a_return_weeks_later_does_not_count_as_a_sale_of_its_day(world: Any) -> None:
    for number in range(5):
        world.conversion(day(number, 9), conversion_id=f"o-{number}", known=day(number, 10))
    world.settle(day(33, 1))
    for number in range(1, 5):
        fields = {"conversion_id": f"o-{number}", "status": "returned", "known": day(36, 1)}
        world.conversion(day(36), **fields)
    world.settle(day(37, 1))
    rows = world.store.rows(
        "SELECT toString(day) AS day FROM known_by_age FINAL WHERE kind = 'conversion' ORDER BY day"
    )
    assert [row["day"] for row in rows] == [f"2026-09-0{number}" for number in (2, 3, 4, 5)]


def test_history_that_was_brought_in_says_nothing_about_how_fast_a_source_is(world: Any) -> None:
    world.click(day(4))
    for number in range(5):  # filled back when the source was set up, all at once
        world.conversion(day(number, 9), known=day(5, 1), type="lead")
    world.settle(day(9, 1))
    assert [entry.kind for entry in read_learned(world.store, at=day(9, 1), history_days=28)] == []
