"""Wilson intervals by figures that anyone can check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from correlator.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(1, 50, 0.0035, 0.1050), (120, 5000, 0.0201, 0.0286), (0, 10, 0.0, 0.2775)]
)
def test_known_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_without_trials_there_is_no_rate() -> None:
    assert wilson(0, 0) is None


@given(trials=st.integers(1, 10**6), share=st.floats(0, 1))
def test_the_rate_lies_inside_its_interval(trials: int, share: float) -> None:
    found = wilson(round(trials * share), trials)
    assert found is not None
    assert 0 <= found.low <= found.rate + 1e-12
    assert found.rate <= found.high + 1e-12 <= 1 + 1e-9
