"""The reference reproduces the tables of theory.md, sections 2.3 and 2.7."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluate.delays import LAWS
from app.evaluate.optimum import clicks_needed, clicks_needed_exactly, minutes_needed, minutes_needed_when_delayed

# base rate, drop, exact D* in clicks at a mean run length of 1e5 and of 1e6 clicks
TABLE = [
    (0.01, 0.2, 10_866, 20_676), (0.01, 0.3, 6_197, 10_554), (0.01, 0.5, 2_777, 4_246), (0.01, 0.8, 1_174, 1_650),
    (0.01, 1.0, 688, 917), (0.024, 0.2, 5_957, 10_153), (0.024, 0.3, 3_226, 5_055), (0.024, 0.5, 1_374, 1_985),
    (0.024, 0.8, 560, 757), (0.024, 1.0, 321, 416), (0.05, 0.2, 3_423, 5_424), (0.05, 0.3, 1_789, 2_657),
    (0.05, 0.5, 741, 1_026), (0.05, 0.8, 295, 387), (0.05, 1.0, 167, 211),
]  # fmt: skip
# clicks/min, base rate, drop, minutes at one false alarm a campaign-month and at a tenth of one
CALENDAR = [
    (1, 0.024, 0.2, 4_551, 8_595), (10, 0.01, 0.5, 371, 519), (10, 0.024, 0.3, 438, 624), (10, 0.05, 0.8, 35, 45),
    (100, 0.024, 0.2, 129, 173), (100, 0.024, 0.3, 62, 81), (100, 0.024, 0.5, 24, 30), (1000, 0.01, 0.3, 18, 22),
]  # fmt: skip
# clicks/min, drop, minutes: arrival, then cohort under each law
DELAYED = [
    (10, 0.3, 448, (477, 766, 817, 1_028)), (10, 0.5, 180, (209, 431, 365, 454)), (100, 0.3, 64, (92, 238, 152, 184)),
    (100, 0.5, 24, (48, 140, 71, 81)), (100, 0.8, 9, (26, 84, 34, 37)), (1000, 0.5, 3, (14, 48, 16, 16)),
]  # fmt: skip
MONTH = 43_200


@pytest.mark.parametrize(("rate", "drop", "short", "long"), TABLE)
def test_the_least_delay_in_clicks_by_recursion_and_by_closed_form(
    rate: float, drop: float, short: int, long: int
) -> None:
    for run_length, told in ((1e5, short), (1e6, long)):
        assert clicks_needed(rate, drop, run_length) == pytest.approx(told, rel=0.02)
        if drop < 1:
            assert clicks_needed_exactly(rate, drop, run_length) == pytest.approx(told, rel=0.007)


@pytest.mark.parametrize(("clicks", "rate", "drop", "one", "tenth"), CALENDAR)
def test_the_least_delay_in_minutes(clicks: int, rate: float, drop: float, one: int, tenth: int) -> None:
    assert minutes_needed(clicks * rate, drop, MONTH) == pytest.approx(one, rel=0.05, abs=0.6)
    assert minutes_needed(clicks * rate, drop, 10 * MONTH) == pytest.approx(tenth, rel=0.035, abs=0.6)


@pytest.mark.parametrize(("clicks", "drop", "at_once", "by_law"), DELAYED)
def test_the_least_delay_where_conversions_come_late(
    clicks: int, drop: float, at_once: int, by_law: tuple[int, ...]
) -> None:
    pace = clicks * 0.024
    assert minutes_needed(pace, drop, MONTH) == pytest.approx(at_once, rel=0.02, abs=0.6)
    for law, told in zip(LAWS, by_law, strict=True):
        found = minutes_needed_when_delayed(pace, drop, MONTH, arrived=law.arrived)
        assert found == pytest.approx(told, rel=0.02, abs=1), law.name


def test_delays_are_drawn_from_the_law_they_are_judged_by() -> None:
    uniform = (np.arange(100_000) + 0.5) / 100_000
    for law in LAWS:
        delays = np.sort(law.draw(uniform))
        for age in (5.0, 30.0, 300.0, 5_000.0):
            assert float(np.mean(delays <= age)) == pytest.approx(float(law.arrived(age)), abs=0.002), law.name
