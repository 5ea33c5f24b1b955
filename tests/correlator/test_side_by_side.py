"""Queries of one report run at the same time, and one that fails fails the report."""

from __future__ import annotations

import threading

import pytest

from core.errors import StoreError
from correlator.side_by_side import AT_ONCE, side_by_side


def test_each_answer_stands_under_its_name() -> None:
    assert side_by_side(("a", "bb", "ccc"), len) == {"a": 1, "bb": 2, "ccc": 3}


def test_as_many_as_fit_run_at_once() -> None:
    together = threading.Barrier(AT_ONCE, timeout=20)
    found = side_by_side([str(n) for n in range(AT_ONCE)], lambda name: together.wait() >= 0)
    assert set(found.values()) == {True}


def test_a_failure_is_raised_after_the_others_are_finished() -> None:
    finished: list[str] = []

    def read(name: str) -> None:
        if name == "bad":
            raise StoreError("gone")
        finished.append(name)

    with pytest.raises(StoreError, match="gone"):
        side_by_side(("bad", "one", "two"), read)
    assert sorted(finished) == ["one", "two"]
