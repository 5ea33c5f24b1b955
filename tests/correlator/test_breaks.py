"""Each cause of a break on figures that are its own, where it fires with the right amount, and on others, where it stays silent."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from core.clock import DAY_MS, HOUR_MS
from correlator.breaks.browser import blockers, consent, parameters_stripped, tag_outage
from correlator.breaks.causes import explain
from correlator.breaks.counting import counted_twice, late_data
from correlator.breaks.currency import currency
from correlator.breaks.model import Break, Hour, Piece, Signs, Sold, Source
from correlator.breaks.time_zone import time_zone

DAY0 = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS
HALF = HOUR_MS // 2


def system(count: float, expected: float = 100.0, **fields: Any) -> Break:
    given = {"scope": "*", "kind": "system", "name": "order", "system": "analytics", "believed": "backend", **fields}
    return Break(since_ms=DAY0, until_ms=DAY0 + DAY_MS, count=count, expected=expected, **given)


def step(name: str, count: float, expected: float, believed: str = "clicks") -> Break:
    return system(count, expected, kind="step", name=name, system="", believed=believed)


def day_of_hours(day: int = 0, **of: Any) -> tuple[Hour, ...]:
    """24 hours of 100 clicks, 80 of which land; `of` gives another number, or a function of the hour."""
    usual = {"clicks": 100, "refused": 10, "landed": 80, "views": 120, "views_with_click": 100, **of}
    return tuple(
        Hour(
            at_ms=DAY0 + day * DAY_MS + hour * HOUR_MS,
            **{name: v(hour) if callable(v) else v for name, v in usual.items()},
        )
        for hour in range(24)
    )


WEEK = tuple(hour for day in range(-7, 0) for hour in day_of_hours(day))
HEALTHY = Signs(hours=day_of_hours(), before=WEEK)


def sold(**of: Any) -> tuple[Sold, ...]:
    """24 hours of four conversions."""
    given = {"conversions": 4, "refused": 0, "unseen": 0, **of}
    return tuple(
        Sold(at_ms=DAY0 + hour * HOUR_MS, **{name: v(hour) if callable(v) else v for name, v in given.items()})
        for hour in range(24)
    )


def business(begin: int, end: int, *, length: int, shift: int = 0, factor: float = 1.0) -> tuple[Piece, ...]:
    """Conversions that come by day more than by night and less at weekends, counted in pieces of `length` ms by a clock that is `shift` ms ahead."""

    def so_far(at: int) -> float:
        hours = (at - DAY0) / HOUR_MS
        weekly = math.sin(2 * math.pi * hours / 168) * 60
        return 8 * hours - 24 * math.sin(2 * math.pi * hours / 24) - weekly

    edges = range(begin, end + 1, length)
    return tuple(
        Piece(begins_ms=a, ends_ms=b, count=factor * (so_far(b - shift) - so_far(a - shift)))
        for a, b in pairwise(edges)
    )


TRUE = business(DAY0 - 8 * DAY_MS, DAY0 + 2 * DAY_MS, length=HALF)
EXPECTED = sum(piece.count for piece in TRUE if DAY0 <= piece.begins_ms < DAY0 + DAY_MS)


class TestConsent:
    def test_conversions_of_clicks_that_refused_are_what_analytics_misses(self) -> None:
        cause = consent(system(78), Signs(sold=sold(refused=1)))
        assert cause is not None
        assert (cause.cause, cause.amount, round(cause.fit, 2)) == ("consent", -24, 0.92)
        assert "24 of 96 conversions" in cause.evidence[0]

    def test_nobody_refused_a_surplus_and_a_system_that_needs_no_browser(self) -> None:
        assert consent(system(78), Signs(sold=sold())) is None
        assert consent(system(122), Signs(sold=sold(refused=1))) is None
        assert consent(system(78, system="crm"), Signs(sold=sold(refused=1))) is None

    def test_a_banner_that_is_refused_more_often_takes_landings_away(self) -> None:
        more = Signs(hours=day_of_hours(refused=55, landed=40), before=WEEK)
        cause = consent(step("landings", 960, 1920), more)
        assert cause is not None
        assert (round(cause.amount), cause.fit) == (-960, pytest.approx(1.0))
        assert consent(step("landings", 960, 1920), HEALTHY) is None
        assert consent(step("hits", 960, 1920), more) is None


class TestBlockers:
    def test_conversions_that_no_page_ever_reported_while_the_tag_works(self) -> None:
        signs = Signs(hours=day_of_hours(), before=WEEK, sold=sold(unseen=1))
        cause = blockers(system(76, 96), signs)
        assert cause is not None
        assert (cause.amount, cause.fit) == (-24, pytest.approx(20 / 24))

    def test_not_those_of_hours_in_which_the_tag_was_down_nor_where_it_is_on_no_page(self) -> None:
        down = day_of_hours(landed=lambda hour: 0 if hour < 6 else 80, views=lambda hour: 0 if hour < 6 else 120)
        signs = Signs(hours=down, before=WEEK, sold=sold(unseen=lambda hour: 4 if hour < 6 else 0))
        assert blockers(system(72, 96), signs) is None
        assert blockers(system(10, 96), Signs(hours=day_of_hours(), sold=sold(unseen=4))) is None
        assert blockers(system(76, 96, system="crm"), Signs(sold=sold(unseen=1))) is None


class TestTagOutage:
    DOWN = day_of_hours(
        landed=lambda hour: 0 if 8 <= hour < 14 else 80, views=lambda hour: 0 if 8 <= hour < 14 else 120
    )

    def test_hours_without_any_page_view_while_clicks_go_on(self) -> None:
        cause = tag_outage(step("landings", 1440, 1920), Signs(hours=self.DOWN, before=WEEK))
        assert cause is not None
        assert (cause.amount, cause.fit) == (-480, 1.0)
        assert "6 h from 2026-09-21 08:00 UTC on, while 600 clicks" in cause.evidence[0]

    def test_what_analytics_misses_is_what_was_sold_in_them(self) -> None:
        cause = tag_outage(system(72, 96), Signs(hours=self.DOWN, before=WEEK, sold=sold()))
        assert cause is not None
        assert (cause.amount, cause.fit) == (-24, 1.0)

    def test_a_night_with_few_clicks_is_no_outage(self) -> None:
        quiet = day_of_hours(
            clicks=lambda hour: 5 if hour < 6 else 100,
            landed=lambda hour: 0 if hour < 6 else 80,
            views=lambda hour: 0 if hour < 6 else 120,
        )
        assert tag_outage(step("landings", 1440, 1920), Signs(hours=quiet, before=WEEK)) is None
        assert tag_outage(step("landings", 1440, 1920), HEALTHY) is None
        assert tag_outage(system(72, 96, system="crm"), Signs(hours=self.DOWN, before=WEEK, sold=sold())) is None


class TestParametersStripped:
    STRIPPED = day_of_hours(
        landed=lambda hour: 2 if hour >= 12 else 80, views_with_click=lambda hour: 2 if hour >= 12 else 100
    )

    def test_page_views_go_on_without_click_ids(self) -> None:
        signs = Signs(hours=self.STRIPPED, before=WEEK, lost_on=("https://shop.example/p",))
        cause = parameters_stripped(step("landings", 984, 1920), signs)
        assert cause is not None
        assert cause.fit > 0.95
        assert cause.amount == pytest.approx(-0.5 * 0.98 * 1920)
        assert "24 of 1440 page views carry a click ID, 83% in the seven days before" in cause.evidence[0]
        assert "https://shop.example/p" in cause.evidence[1]

    def test_nothing_is_stripped_where_the_views_stop_too_or_ids_are_as_usual(self) -> None:
        assert parameters_stripped(step("landings", 1440, 1920), Signs(hours=TestTagOutage.DOWN, before=WEEK)) is None
        assert parameters_stripped(step("landings", 1000, 1920), HEALTHY) is None
        assert parameters_stripped(step("hits", 984, 1920), Signs(hours=self.STRIPPED, before=WEEK)) is None


class TestTimeZone:
    @pytest.mark.parametrize("hours", [2, -7, 5.5])
    @pytest.mark.parametrize("length", [HOUR_MS, DAY_MS])
    def test_a_shift_by_so_many_hours_removes_the_break(self, hours: float, length: int) -> None:
        shift = round(hours * HOUR_MS)
        told = business(DAY0 - 7 * DAY_MS, DAY0 + DAY_MS, length=length, shift=shift, factor=5.0)
        true = tuple(Piece(begins_ms=p.begins_ms, ends_ms=p.ends_ms, count=5 * p.count) for p in TRUE)
        count = sum(piece.count for piece in told if piece.begins_ms >= DAY0)
        found = system(count, 5 * EXPECTED)
        cause = time_zone(found, Signs(told=told, true=true))
        assert cause is not None
        assert f"UTC{hours:+g} h" in cause.evidence[0]
        assert cause.amount == pytest.approx(found.difference, rel=0.02)

    def test_fewer_of_every_hour_is_no_shift_and_little_proves_nothing(self) -> None:
        fewer = business(DAY0 - 7 * DAY_MS, DAY0 + DAY_MS, length=HOUR_MS, factor=0.8)
        assert time_zone(system(0.8 * EXPECTED, EXPECTED), Signs(told=fewer, true=TRUE)) is None
        one = business(DAY0, DAY0 + DAY_MS, length=DAY_MS, shift=7 * HOUR_MS)
        assert time_zone(system(one[0].count, EXPECTED), Signs(told=one, true=TRUE)) is None
        assert time_zone(system(80), Signs()) is None


class TestCountedTwice:
    def test_twice_as_many_all_day(self) -> None:
        cause = counted_twice(system(196), Signs())
        assert cause is not None
        assert (cause.amount, round(cause.fit, 2)) == (100, 0.96)

    def test_twice_as_many_from_some_hour_on(self) -> None:
        told = business(DAY0, DAY0 + DAY_MS, length=HOUR_MS)
        told = tuple(
            Piece(
                begins_ms=p.begins_ms,
                ends_ms=p.ends_ms,
                count=p.count * (2 if p.begins_ms >= DAY0 + 15 * HOUR_MS else 1),
            )
            for p in told
        )
        found = system(sum(piece.count for piece in told), EXPECTED)
        cause = counted_twice(found, Signs(told=told, true=TRUE))
        assert cause is not None
        assert cause.fit > 0.9
        assert "from 2026-09-21 15:00 UTC on" in cause.evidence[0]

    def test_a_third_more_or_fewer_is_something_else(self) -> None:
        assert counted_twice(system(133), Signs()) is None
        assert counted_twice(system(50), Signs()) is None
        assert counted_twice(system(10, 0), Signs()) is None


class TestLateData:
    def test_what_was_sold_after_the_source_is_complete_is_missing(self) -> None:
        late = (Source(name="ga4:shop", complete_through_ms=DAY0 + 18 * HOUR_MS),)
        evening = sum(piece.count for piece in TRUE if DAY0 + 18 * HOUR_MS <= piece.begins_ms < DAY0 + DAY_MS)
        cause = late_data(system(EXPECTED - evening, EXPECTED), Signs(sources=late, true=TRUE))
        assert cause is not None
        assert cause.fit == pytest.approx(1.0)
        assert "ga4:shop is complete through 2026-09-21 18:00 UTC" in cause.evidence[0]

    def test_a_late_believed_system_makes_the_other_one_look_too_high(self) -> None:
        late = (Source(name="stripe:shop", complete_through_ms=DAY0 + 12 * HOUR_MS),)
        cause = late_data(
            step("hits", 2400, 1200, believed="billed_clicks"), Signs(hours=day_of_hours(), believed_sources=late)
        )
        assert cause is not None
        assert (cause.amount, cause.fit) == (1200, 1.0)

    def test_a_source_that_has_told_everything_is_not_late(self) -> None:
        on_time = (Source(name="ga4:shop", complete_through_ms=DAY0 + DAY_MS),)
        assert late_data(system(80), Signs(sources=on_time, believed_sources=on_time)) is None
        assert late_data(system(80), Signs()) is None


def money(count: float, expected: float) -> Break:
    return system(count, expected, kind="sum", currency="EUR")


RATES = {"EUR": 1.0, "USD": 0.85}


class TestCurrency:
    def test_the_same_number_under_another_currency(self) -> None:
        signs = Signs(sums={"USD": 1_000_000_000}, true_sums={"EUR": 1_000_000_000}, rates=RATES)
        cause = currency(money(850_000_000, 1_000_000_000), signs)
        assert cause is not None
        assert (cause.amount, cause.fit) == (-150_000_000, 1.0)
        assert "1000.00 USD, backend 1000.00 EUR" in cause.evidence[0]

    def test_money_without_a_rate(self) -> None:
        signs = Signs(
            sums={"EUR": 700_000_000, "GBP": 260_000_000},
            true_sums={"EUR": 1_000_000_000},
            rates={"EUR": 1.0, "GBP": 0.0},
        )
        cause = currency(money(700_000_000, 1_000_000_000), signs)
        assert cause is not None
        assert "260.00 GBP have no rate to EUR" in cause.evidence[0]

    def test_a_sum_that_was_converted_once_too_often(self) -> None:
        signs = Signs(sums={"EUR": 722_500_000}, true_sums={"EUR": 425_000_000, "USD": 500_000_000}, rates=RATES)
        cause = currency(money(722_500_000, 850_000_000), signs)
        assert cause is not None
        assert "0.850 times" in cause.evidence[0]

    def test_counts_and_sums_of_one_currency_are_no_matter_of_rates(self) -> None:
        signs = Signs(sums={"EUR": 700_000_000}, true_sums={"EUR": 1_000_000_000}, rates={"EUR": 1.0})
        assert currency(money(700_000_000, 1_000_000_000), signs) is None
        assert currency(system(85), Signs(sums={"USD": 1}, true_sums={"EUR": 1}, rates=RATES)) is None


class TestRanking:
    def test_the_cause_that_accounts_for_the_difference_comes_first(self) -> None:
        both = Signs(hours=day_of_hours(), before=WEEK, sold=sold(refused=1, unseen=lambda hour: int(hour < 4)))
        causes = explain(system(72, 96), both)
        assert [(cause.cause, round(cause.fit, 2)) for cause in causes] == [("consent", 1.0), ("blockers", 0.17)]

    def test_without_any_sign_a_break_is_unexplained(self) -> None:
        (cause,) = explain(system(72, 96), HEALTHY)
        assert (cause.cause, cause.amount, cause.evidence) == ("unexplained", -24, ())
