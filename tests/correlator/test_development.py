"""How a period fills up, learned from past days: by hand-computed shares, and by facts that come in through the journal."""

from __future__ import annotations

import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from correlator.development import AGES_MS, Day, Pattern, Share, completeness, learn, share_of

#: 50 known at once, 80 after an hour, 100 after a day.
GROWN = tuple(100.0 if age >= DAY_MS else 80.0 if age >= HOUR_MS else 50.0 for age in AGES_MS)
HOUR, A_DAY = AGES_MS.index(HOUR_MS), AGES_MS.index(DAY_MS)


def learned(*days: tuple[float, ...], counted: bool = False) -> Pattern:
    pattern = learn([Day(known=known) for known in days], counted=counted)
    assert pattern is not None
    return pattern


def test_the_shares_of_equal_days_are_theirs() -> None:
    pattern = learned(*[GROWN] * 5)
    assert (pattern.shares[0], pattern.shares[HOUR], pattern.shares[A_DAY]) == (0.5, 0.8, 1.0)
    assert (pattern.days, pattern.final) == (5, 500.0)
    assert set(pattern.spread) == {0.0}


def test_a_day_too_young_for_an_age_teaches_its_young_ages_only() -> None:
    # The young day is twice as large and half of what it shows after an hour came at once: ratios are taken over both.
    young = (80.0,) * HOUR + (160.0,)
    pattern = learned(GROWN, GROWN, GROWN, young)
    assert pattern.shares[HOUR] == pytest.approx(0.8), "it says nothing of what comes after an hour"
    assert pattern.shares[0] == pytest.approx(0.8 * (3 * 50 + 80) / (3 * 80 + 160))
    assert pattern.final == pytest.approx(300 + 160 / 0.8)


def test_days_that_differ_widen_the_interval_and_a_large_period_narrows_it() -> None:
    days = [tuple(value * factor for value in GROWN[:A_DAY]) + GROWN[A_DAY:] for factor in (0.9, 1.0, 1.1)]
    pattern = learned(*days)
    assert pattern.spread[HOUR] == pytest.approx(100 * (0.08**2 + 0.08**2) / 2)
    small, large = (
        completeness([share_of(pattern, since=0, until=1, at=HOUR_MS, known=known)]) for known in (8.0, 8e6)
    )
    assert small is not None
    assert large is not None
    assert small.low < large.low < 0.8 < large.high < small.high <= 1.0


def test_counted_events_vary_at_least_as_a_binomial_share() -> None:
    assert learned(*[GROWN] * 5, counted=True).spread[HOUR] == pytest.approx(0.8 * 0.2)


def test_a_figure_that_is_corrected_downwards_is_more_than_complete() -> None:
    falling = tuple(100.0 if age < DAY_MS else 90.0 for age in AGES_MS)
    found = completeness([share_of(learned(*[falling] * 4), since=0, until=1, at=HOUR_MS, known=100.0)])
    assert found is not None
    assert found.share == pytest.approx(100 / 90)


def test_a_period_is_as_complete_as_its_ages_on_average() -> None:
    pattern = Pattern(ages_ms=(HOUR_MS, 2 * HOUR_MS), shares=(0.5, 1.0), spread=(0.1, 0.1), final=100.0, days=4)

    def share(since: int, until: int, at: int) -> float:
        found = share_of(pattern, since=since, until=until, at=at)
        assert found is not None
        return found.share

    assert share(0, 2 * HOUR_MS, 2 * HOUR_MS) == pytest.approx(0.5), (
        "nothing at first, all after two hours, evenly between"
    )
    assert share(0, HOUR_MS, 2 * HOUR_MS) == pytest.approx(0.75)
    assert share(0, HOUR_MS, 3 * HOUR_MS) == 1.0
    assert share(0, 4 * HOUR_MS, 2 * HOUR_MS) == pytest.approx(0.5), "what has not happened yet is not missing"
    assert share_of(pattern, since=HOUR_MS, until=2 * HOUR_MS, at=HOUR_MS) is None


def test_several_parts_count_by_what_they_will_come_to() -> None:
    parts = [
        Share(share=1.0, variance=0.0, final=300.0, days=9),
        Share(share=0.5, variance=0.01, final=100.0, days=4),
        None,
    ]
    found = completeness(parts)
    assert found is not None
    assert (found.share, found.days) == (0.875, 4)
    assert found.low == pytest.approx(0.875 - 3.182446 * 0.1 * 100 / 400, abs=1e-6)
    assert completeness([None]) is None


def test_two_days_teach_nothing_nor_do_empty_ones() -> None:
    assert learn([Day(known=GROWN)] * 2, counted=True) is None
    assert learn([Day(known=())] * 9, counted=True) is None
    assert learn([Day(known=(0.0,) * 5)] * 9, counted=True) is None
    assert learn([Day(known=(0.0,) * 5)] * 9 + [Day(known=GROWN)], counted=True) is not None


def test_ages_ascend() -> None:
    assert list(AGES_MS) == sorted(set(AGES_MS))
    assert AGES_MS[0] == MINUTE_MS
