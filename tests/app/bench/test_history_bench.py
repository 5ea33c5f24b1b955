"""Measurements over history: what they refuse, and that the three that are compared answer the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.bench import disk, join, tick
from app.bench.sides import Side, forget_peak, peak_rss_bytes, sides


def ticks(ms: float) -> list[dict[str, Any]]:
    return [{"tick_ms": ms, "cpu_ms": ms, "later_ms": 1.0, "parts_ms": {"matches": ms}, "clicks": 1}] * 20


@pytest.mark.parametrize(
    ("short", "long", "missed"),
    [
        (100.0, 120.0, 0),
        (100.0, 140.0, 1),  # grows with history
        (600.0, 610.0, 1),  # too slow from the beginning
        (300.0, 900.0, 2),
    ],
)
def test_a_tick_is_judged_by_its_time_and_by_its_growth(short: float, long: float, missed: int) -> None:
    found = tick._figures(ticks(short), ticks(long), days=90)
    assert len(found["missed"]) == missed  # type: ignore[arg-type]


def test_one_slow_tick_in_ten_shows_at_the_95th_percentile() -> None:
    assert tick.quantile([*[1.0] * 18, 9.0, 9.0], 0.95) == 9.0
    assert tick.quantile([*[1.0] * 18, 9.0, 9.0], 0.5) == 1.0


def turns(ms: float, mib: int) -> list[dict[str, Any]]:
    return [{"ms": ms, "memory_bytes": mib * 2**20}]


@pytest.mark.parametrize(
    ("ours", "duckdb", "pandas", "words"),
    [
        ((50, 10), (60, 10), (600, 100), []),
        ((50, 10), (40, 10), (600, 100), ["DuckDB"]),
        ((50, 10), (60, 10), (200, 100), ["pandas"]),
        ((50, 200), (60, 10), (600, 100), ["MiB"]),
    ],
)
def test_the_join_is_judged_beside_both_others(
    ours: tuple[float, int], duckdb: tuple[float, int], pandas: tuple[float, int], words: list[str]
) -> None:
    found = join._figures({"clicktrace": turns(*ours), "duckdb": turns(*duckdb), "pandas": turns(*pandas)})
    missed: list[str] = found["missed"]  # type: ignore[assignment]
    assert len(missed) == len(words)
    assert all(word in sentence for word, sentence in zip(words, missed, strict=True))


def test_the_engine_duckdb_and_pandas_join_the_same() -> None:
    found = join.run(clicks_a_day=4000, days=1, rounds=1)
    assert found["conversions_joined"] == pytest.approx(0.6 * 4000 * 28 / 1100, abs=20)


def test_a_click_too_large_an_unbounded_query_and_a_growing_process_are_missed_each() -> None:
    good = {"bytes_a_click": 150.0}
    assert disk._missed(good, "refused", 0) == []
    assert len(disk._missed({"bytes_a_click": 181.0}, "", disk.GROWTH_BYTES + 1)) == 3


def counts(*, fail: bool) -> Callable[[], dict[str, Any]]:
    """A side that counts its turns."""
    done = 0
    if fail:
        raise ValueError("no engine")

    def turn() -> dict[str, Any]:
        nonlocal done
        done += 1
        return {"done": done}

    return turn


def test_a_side_keeps_what_it_prepared_and_a_failure_is_told_in_its_own_words() -> None:
    with sides(Side(counts, fail=False), Side(counts, fail=True)) as (good, bad):
        good.prepared()
        assert [good.turn()["done"], good.turn()["done"]] == [1, 2]
        with pytest.raises(RuntimeError, match="ValueError: no engine"):
            bad.prepared()


def test_memory_is_measured_from_where_the_peak_was_forgotten() -> None:
    before = forget_peak()
    held = bytearray(b"1" * (64 << 20))
    grown = peak_rss_bytes() - before
    assert grown > 50 << 20
    assert held
