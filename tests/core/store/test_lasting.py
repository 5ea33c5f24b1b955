"""An answer is kept exactly as long as the tables it follows from stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import StoreError
from core.store.lasting import Lasting


class Tables:
    """Row counts by table, as the engine tells them."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts

    def rows(self, sql: str, params: object = None) -> list[dict[str, object]]:
        assert all(f"count() FROM {table}" in sql for table in self.counts)
        return [dict(self.counts)]


def answered(lasting: Lasting[int], tables: Any, asked: object = None) -> list[int]:
    """What was worked out anew, and what was answered."""
    worked: list[int] = []
    worked.append(lasting.answer(tables, lambda: worked.append(7) or 7, asked=asked))  # type: ignore[func-returns-value]
    return worked


def test_an_answer_is_worked_out_once_while_nothing_comes() -> None:
    tables, lasting = Tables(spend=3, campaign=1), Lasting[int]("spend", "campaign")
    assert answered(lasting, tables) == [7, 7]
    assert answered(lasting, tables) == [7]


@pytest.mark.parametrize("change", [{"spend": 4}, {"campaign": 2}, {"spend": 0}])
def test_a_fact_more_or_less_in_any_of_its_tables_asks_again(change: dict[str, int]) -> None:
    tables, lasting = Tables(spend=3, campaign=1), Lasting[int]("spend", "campaign")
    answered(lasting, tables)
    tables.counts.update(change)
    assert answered(lasting, tables) == [7, 7]


def test_another_day_asks_again() -> None:
    tables, lasting = Tables(spend=3), Lasting[int]("spend")
    answered(lasting, tables, asked=1)
    assert answered(lasting, tables, asked=1) == [7]
    assert answered(lasting, tables, asked=2) == [7, 7]


def test_what_arrives_while_the_answer_is_worked_out_is_not_missed() -> None:
    tables, lasting = Tables(spend=3), Lasting[int]("spend")

    def meanwhile() -> int:
        tables.counts["spend"] += 1
        return 7

    lasting.answer(tables, meanwhile)
    assert answered(lasting, tables) == [7, 7]


def test_an_answer_that_failed_is_not_kept() -> None:
    tables, lasting = Tables(spend=3), Lasting[int]("spend")

    def fails() -> int:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        lasting.answer(tables, fails)
    assert answered(lasting, tables) == [7, 7]
