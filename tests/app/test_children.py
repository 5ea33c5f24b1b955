from __future__ import annotations

import pytest

from app.children import LONGEST_DELAY_S, restart_delay_s


@pytest.mark.parametrize(("deaths", "delay"), [(0, 0.0), (1, 0.0), (2, 0.1), (3, 0.2), (5, 0.8)])
def test_the_first_restart_is_immediate_and_then_they_back_off(deaths: int, delay: float) -> None:
    assert restart_delay_s(deaths) == pytest.approx(delay)


def test_the_back_off_has_a_bound() -> None:
    assert restart_delay_s(50) == LONGEST_DELAY_S
