"""Weighted variants: proportions, stickiness, and that a changed weight moves as few visitors as possible."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirect.weights import Split

RANDOM = random.Random(7)
VISITORS = [f"{RANDOM.getrandbits(128):032x}" for _ in range(20_000)]


def split(salt: str = "link", /, **weights: int) -> Split[str]:
    return Split([(name, weight, name) for name, weight in weights.items()], salt=salt)


def shares(one: Split[str], visitors: list[str] = VISITORS) -> dict[str, float]:
    counts = Counter(map(one.choose, visitors))
    return {name: count / len(visitors) for name, count in counts.items()}


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1}, {"a": 1, "b": 9}, {"a": 5, "b": 3, "c": 2}, {"a": 1, "b": 999}])
def test_every_variant_gets_its_share(weights: dict[str, int]) -> None:
    found = shares(split(**weights))
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        # 5 standard errors of a binomial: a false alarm in two million runs, and the visitors are the same in every run.
        assert abs(found.get(name, 0) - share) < 5 * (share * (1 - share) / len(VISITORS)) ** 0.5


def test_ids_that_differ_by_little_are_spread_as_well() -> None:
    """IDs are random, but a hand-made or counted one must not send everybody to one page."""
    for keys in ([f"{n:032x}" for n in range(5000)], [f"{n << 96:032x}" for n in range(5000)]):
        assert abs(shares(split(a=1, b=1), keys)["a"] - 0.5) < 0.04


def test_a_visitor_stays() -> None:
    one, same = split(a=1, b=2), split(b=2, a=1)
    assert all(one.choose(key) == same.choose(key) for key in VISITORS[:2000]), "the order written says nothing"


def test_a_larger_weight_only_draws_visitors_to_it_and_no_more_than_its_gain() -> None:
    before, after = split(a=1, b=1, c=2), split(a=1, b=3, c=2)
    moved = [
        (old, new)
        for old, new in zip(map(before.choose, VISITORS), map(after.choose, VISITORS), strict=True)
        if old != new
    ]
    assert {new for _, new in moved} == {"b"}
    gain = 3 / 6 - 1 / 4
    assert abs(len(moved) / len(VISITORS) - gain) < 0.02


def test_a_variant_that_goes_away_moves_only_its_own_visitors() -> None:
    before, after = split(a=1, b=1, c=1), split(a=1, b=1, c=0)
    assert all(after.choose(key) == before.choose(key) for key in VISITORS if before.choose(key) != "c")
    assert "c" not in shares(after)


def test_links_draw_independently_of_each_other() -> None:
    one, other = split("one", a=1, b=1), split("other", a=1, b=1)
    assert abs(sum(one.choose(key) == other.choose(key) for key in VISITORS) / len(VISITORS) - 0.5) < 0.02


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1_000_000), min_size=1).filter(lambda w: any(w.values())),
    st.integers(0, 2**128 - 1),
)
def test_whoever_comes_gets_a_variant_with_a_weight(weights: dict[str, int], number: int) -> None:
    assert weights[split(**weights).choose(f"{number:032x}")] > 0
