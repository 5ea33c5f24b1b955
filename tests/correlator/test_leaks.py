"""What is usual for a step, learned from earlier days, and what is news."""

from __future__ import annotations

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS
from correlator.config import CorrelatorConfig
from correlator.counted import Counts, Told
from correlator.leaks import leak_table
from correlator.reconciling_config import ReconciliationConfig
from correlator.usual import state_of, usual_of

RULES = ReconciliationConfig()
WEEK = [
    (1000.0, 800.0),
    (1010.0, 812.0),
    (990.0, 785.0),
    (1020.0, 820.0),
    (1000.0, 795.0),
    (980.0, 790.0),
    (1005.0, 806.0),
]


def judged(count: float, before: float = 1000.0, days: list[tuple[float, float]] = WEEK) -> str:
    return state_of(count, before, usual_of(days, before, rules=RULES), rules=RULES)


def test_a_ratio_as_on_other_days_is_usual_and_one_far_off_is_news_both_ways() -> None:
    assert [judged(count) for count in (800, 760, 640, 990)] == ["usual", "usual", "low", "high"]


def test_one_broken_day_among_them_does_not_move_what_is_usual() -> None:
    assert judged(640, days=[*WEEK, (1000.0, 3.0)]) == "low"
    assert judged(800, days=[*WEEK, (1000.0, 3.0)]) == "usual"


def test_too_little_to_judge_by_is_said_and_never_news() -> None:
    assert judged(0, before=60.0) == "few"
    assert judged(0, days=WEEK[:6]) == "unlearned"
    assert judged(0, days=[(50.0, 40.0)] * 20) == "unlearned", "days with little traffic teach nothing"
    assert judged(0, before=150.0, days=[(1000.0, 20.0)] * 10) == "few", "three were expected"


def test_a_rare_step_needs_more_than_a_few_missing() -> None:
    rare = [
        (1000.0, 20.0),
        (1000.0, 24.0),
        (1000.0, 17.0),
        (1000.0, 22.0),
        (1000.0, 19.0),
        (1000.0, 21.0),
        (1000.0, 23.0),
    ]
    assert [judged(count, days=rare) for count in (21, 11, 70)] == ["usual", "usual", "high"]


def test_healthy_days_are_hardly_ever_news() -> None:
    """8,000 days of steps between 2 % and 90 % whose ratio itself wanders by a tenth of its spread: hardly one in 4,000 is news."""
    random = np.random.default_rng(5)
    news = 0
    for _ in range(8_000):
        rate = random.uniform(0.02, 0.9)
        before = int(random.integers(100, 5000))
        rates = np.clip(random.normal(rate, 0.02 * rate, 29), 0, 1)
        counts = random.binomial(before, rates)
        days = [(float(before), float(count)) for count in counts[1:15]]
        news += state_of(float(counts[0]), before, usual_of(days, before, rules=RULES), rules=RULES) in ("low", "high")
    assert news <= 2


def told(**systems: float) -> dict[tuple[str, str], Told]:
    return {("lead", system): Told(conversions=count) for system, count in systems.items()}


HISTORY = [{"clicks": base, "landings": count, "lead (backend)": 50.0, "lead (crm)": 50.0} for base, count in WEEK]


def test_a_step_that_nobody_counts_any_more_stands_there_with_nothing() -> None:
    counts = Counts(funnel={"clicks": 1000.0}, told=told(backend=49))
    table = leak_table(counts, config=CorrelatorConfig(), history=HISTORY, span_ms=DAY_MS)
    assert [(leak.step, leak.count, leak.of, leak.state) for leak in table] == [
        ("clicks", 1000, "", "first"),
        ("landings", 0, "clicks", "low"),
        ("lead (backend)", 49, "landings", "few"),
        ("lead (crm)", 0, "lead (backend)", "few"),
    ]


def test_a_step_of_long_ago_that_few_days_counted_is_not_missed() -> None:
    counts = Counts(funnel={"clicks": 1000.0}, told={})
    history = [{"clicks": 1000.0, "form_starts": 400.0}, *HISTORY]
    table = leak_table(counts, config=CorrelatorConfig(), history=history, span_ms=DAY_MS)
    assert "form_starts" not in [leak.step for leak in table]


def test_a_chain_of_systems_begins_at_the_last_step_of_the_site_without_a_difference() -> None:
    counts = Counts(funnel={"clicks": 1000.0, "landings": 800.0}, told=told(backend=50, crm=40))
    backend, crm = leak_table(counts, config=CorrelatorConfig(), history=(), span_ms=DAY_MS)[2:]
    assert (backend.of, backend.difference, backend.ratio, backend.within_band) == ("landings", None, 0.0625, None)
    assert (crm.of, crm.difference, crm.ratio, crm.within_band) == ("lead (backend)", -10, 0.8, False)


@pytest.mark.parametrize(("span", "state"), [(HOUR_MS, "short"), (DAY_MS, "low")])
def test_parts_of_a_day_are_not_judged_by_whole_days(span: int, state: str) -> None:
    counts = Counts(funnel={"clicks": 1000.0, "landings": 400.0}, told={})
    landings = leak_table(counts, config=CorrelatorConfig(), history=HISTORY, span_ms=span)[1]
    assert landings.state == state
