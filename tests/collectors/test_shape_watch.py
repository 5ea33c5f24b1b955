"""What stands out in a source's answers, and what does not."""

from __future__ import annotations

import pytest

from collectors.shape import Shape, rows_by_hour, shape_of, shape_of_records
from collectors.shape_watch import ACCEPT_MS, LEARN_MS, Memory, Observed, findings_now, in_bulk, judge
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.records import Deploy, Spend

NOW = 1_790_000_000_000 // DAY_MS * DAY_MS + 12 * HOUR_MS


def rows(count: int, **shares: float) -> Shape:
    """Raw rows, each column filled in the given share of them."""
    made = [{name: "x" if n < round(count * share) else None for name, share in shares.items()} for n in range(count)]
    return shape_of(made)


def words(memory: Memory, seen: Observed, *, now: int = NOW) -> list[str]:
    return [finding.word for finding in judge(memory, seen, now=now)[1]]


def used_to(shape: Shape, *, described: int = 0) -> Memory:
    """What is remembered after a week of such answers."""
    memory = Memory()
    for run in range(5):
        now = NOW - 7 * DAY_MS + run * LEARN_MS
        memory, found = judge(memory, Observed(shape=shape, described=described), now=now)
        assert found == ()
    return memory


def hourly(count: int, *, days: int = 8, last: int | None = None) -> dict[int, int]:
    """So many rows an hour up to NOW, in the last six hours another number."""
    hours = {NOW - back * HOUR_MS: count for back in range(1, days * 24 + 1)}
    if last is not None:
        hours |= {NOW - back * HOUR_MS: last for back in range(1, 7)}
    return hours


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (rows(100, clicks=1, cost=1), []),
        (rows(100, clicks=1, cost=1, surprise=0.1), ["unknown_columns"]),
        (rows(100, clicks=1, cost=0), ["missing_columns"]),
        (rows(100, clicks=1), ["missing_columns"]),
        (rows(100, clicks=1, cost=0.6), ["null_rate"]),
        (rows(100, clicks=1, cost=0.9), []),
        (rows(20, clicks=1, cost=0), []),
        (rows(100, clicks=1, spend=1), ["unknown_columns", "missing_columns"]),
    ],
    ids=["as ever", "new", "empty", "gone", "emptier", "a little emptier", "too few to say", "renamed"],
)
def test_columns_are_compared_with_what_was_usual(seen: Shape, expected: list[str]) -> None:
    assert words(used_to(rows(100, clicks=1, cost=1)), Observed(shape=seen)) == expected


def test_nothing_is_judged_before_there_is_something_to_compare_with() -> None:
    first, found = judge(Memory(), Observed(shape=rows(100, cost=1)), now=NOW)
    assert found == ()
    assert words(first, Observed(shape=rows(100, other=1))) == []


def test_an_optional_column_that_was_asked_for_is_no_news() -> None:
    asked = shape_of([{"clicks": n} for n in range(100)], expected=["clicks", "refund"])
    seen = shape_of([{"clicks": n, "refund": 1} for n in range(100)], expected=["clicks", "refund"])
    assert words(used_to(asked), Observed(shape=seen)) == []


def test_a_finding_stands_while_it_is_so_and_says_since_when() -> None:
    memory = used_to(rows(100, cost=1))
    for hours in (0, 7, 14, 100):
        memory, (finding,) = judge(memory, Observed(shape=rows(100, cost=0)), now=NOW + hours * HOUR_MS)
        assert (finding.word, finding.since) == ("missing_columns", NOW)
    memory, found = judge(memory, Observed(shape=rows(100, cost=1)), now=NOW + 101 * HOUR_MS)
    assert found == ()
    assert memory.found == {}


@pytest.mark.parametrize("seen", [rows(100, cost=0), rows(100, cost=1, surprise=1), rows(100, cost=0.5)])
def test_after_a_week_the_new_shape_is_the_usual_one(seen: Shape) -> None:
    memory = used_to(rows(100, cost=1))
    memory, found = judge(memory, Observed(shape=seen), now=NOW)
    assert found
    memory, found = judge(memory, Observed(shape=seen), now=NOW + ACCEPT_MS)
    assert found == ()
    assert words(memory, Observed(shape=seen), now=NOW + ACCEPT_MS + 60_000) == []


def test_a_slow_change_is_not_learned_while_it_grows() -> None:
    """Windows overlap: a column that is empty from now on empties the answer over a day, 1 % a quarter of an hour."""
    memory = used_to(rows(96, cost=1))
    found: tuple[object, ...] = ()
    for run in range(96):
        memory, found = judge(memory, Observed(shape=rows(96, cost=1 - run / 96)), now=NOW + run * 900_000)
    assert found


@pytest.mark.parametrize(
    ("last", "expected"),
    [(100, []), (40, []), (20, ["volume_drop"]), (0, ["volume_drop"]), (250, []), (350, ["volume_rise"])],
)
def test_the_last_hours_are_compared_with_the_same_hours_of_the_week_before(last: int, expected: list[str]) -> None:
    assert words(Memory(), Observed(hours=hourly(100, last=last), through=NOW)) == expected


def test_a_quiet_weekend_is_compared_with_the_last_one() -> None:
    quiet = {
        hour: 5 for hour in hourly(1) if 0 < NOW - hour <= 6 * HOUR_MS or 0 < NOW - 7 * DAY_MS - hour <= 6 * HOUR_MS
    }
    assert words(Memory(), Observed(hours=hourly(100) | quiet, through=NOW)) == []


def test_a_week_is_needed_before_rows_are_counted() -> None:
    assert words(Memory(), Observed(hours=hourly(100, days=6, last=0), through=NOW)) == []


def test_hours_that_the_source_still_owes_are_not_counted() -> None:
    """Three hours late by its own documents: the empty hours are no drop."""
    late = hourly(100) | {NOW - back * HOUR_MS: 0 for back in range(1, 4)}
    assert words(Memory(), Observed(hours=late, through=NOW - 3 * HOUR_MS)) == []


def test_campaigns_that_vanish_are_a_drop() -> None:
    memory = used_to(rows(100, cost=1), described=40)
    assert words(memory, Observed(shape=rows(100, cost=1), described=4)) == ["volume_drop"]
    assert words(memory, Observed(shape=rows(100, cost=1), described=30)) == []


@pytest.mark.parametrize(
    ("invalid", "rows_read", "expected"), [(4, 0, False), (5, 0, True), (5, 95, True), (5, 200, False)]
)
def test_a_few_rows_that_cannot_be_understood_are_no_bulk(invalid: int, rows_read: int, expected: bool) -> None:
    assert in_bulk(invalid=invalid, rows=rows_read) is expected
    assert ("invalid_rows" in words(Memory(), Observed(shape=Shape(rows=rows_read), invalid=invalid))) is expected


def test_after_a_read_that_was_not_complete_what_stood_stands() -> None:
    memory, found = judge(used_to(rows(100, cost=1)), Observed(shape=rows(100, cost=0)), now=NOW)
    after = findings_now(memory, found, invalid=50, rows=50, now=NOW + 1)
    assert [(finding.word, finding.since) for finding in after] == [("missing_columns", NOW), ("invalid_rows", NOW + 1)]


def test_records_show_which_fields_have_a_value() -> None:
    spend = [
        Spend(ts=1, source="s", fact_id=f"f{n}", platform="p", account="1", campaign="c" if n else "", bucket_s=3600, cost_micros=0, currency="EUR")
        for n in range(4)
    ]  # fmt: skip
    deploy = Deploy(ts=1, source="s", fact_id="d", service="shop", version="1", change="deploy")
    shape = shape_of_records([*spend, deploy])
    assert shape.rows == 5
    assert (shape.columns["campaign of spend"].share, shape.columns["cost_micros of spend"].share) == (0.75, 1.0)
    assert shape.columns["service of deploy"].rows == 1


def test_a_kind_that_comes_or_stays_away_is_no_change_of_columns() -> None:
    spends, deploys = spends_of("c", count=40), [deploy(n) for n in range(40)]
    memory = used_to(shape_of_records(spends))
    assert words(memory, Observed(shape=shape_of_records([*spends, *deploys]))) == []
    memory = used_to(shape_of_records([*spends, *deploys]))
    assert words(memory, Observed(shape=shape_of_records(spends))) == []
    assert words(memory, Observed(shape=shape_of_records([*spends_of("", count=40), *deploys]))) == ["missing_columns"]


def spends_of(campaign: str, *, count: int) -> list[Spend]:
    spend = Spend(ts=1, source="s", fact_id="f", platform="p", account="1", campaign=campaign, bucket_s=3600, cost_micros=0, currency="EUR")  # fmt: skip
    return [spend] * count


def deploy(number: int) -> Deploy:
    return Deploy(ts=1, source="s", fact_id=f"d{number}", service="shop", version="1", change="deploy")


def test_a_row_counts_in_the_hour_in_which_its_bucket_ends() -> None:
    day = NOW // DAY_MS * DAY_MS - DAY_MS
    window = Window(since=day, until=day + DAY_MS + 30 * 60_000)
    daily = Spend(ts=day, source="s", fact_id="f", platform="p", account="1", campaign="c", bucket_s=86_400, cost_micros=1, currency="EUR")  # fmt: skip
    hours = rows_by_hour([daily], window, since=0)
    assert len(hours) == 24
    assert {hour: n for hour, n in hours.items() if n} == {day + 23 * HOUR_MS: 1}
