"""One incident through the shipped detector and explanation: big faults are seen at once, told for what they are, and nothing is told of nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from app.evaluate import tasks
from app.evaluate.cause_report import cause_figures, expected_of
from app.evaluate.incidents import CAUSES, Incident, draw_incident, inside
from app.evaluate.realistic_report import bound_of, realistic_figures
from app.evaluate.rule_alarms import NOMINAL
from app.evaluate.segments import Fleet, draw_fleet
from app.evaluate.tasks import incident

LEVELS = {rule: {"nominal": level, "matched": level} for rule, level in NOMINAL.items()}
SEED, CAMPAIGNS = 11, 3


@pytest.fixture(scope="module")
def broken() -> Callable[[str], dict[str, Any]]:
    """A maker of runs in which one thing breaks for half an hour, a step of full size; each is made once."""
    places = {"page latency": {"device": "mobile"}}

    def forced(cause: str, fleet: Fleet) -> Incident:
        known, place = next(c for c in CAUSES if c.name == cause), places.get(cause, {})
        return Incident(known, 1.0, 700.0, 730.0, 0.0, place, inside(fleet, place))

    @cache
    def make(cause: str) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tasks, "draw_incident", lambda fleet, random, *, onset: forced(cause, fleet))
            patch.setattr(tasks, "_with_company", lambda world, what, random: [what])
            return incident(seed=SEED, number=1, campaigns=CAMPAIGNS, thresholds=LEVELS)

    return make


def test_a_lost_tag_is_seen_within_minutes_and_told_from_lost_sales(broken: Callable[[str], dict[str, Any]]) -> None:
    run = broken("tracking outage")
    assert run["delay"] is not None
    assert run["delay"] <= 10
    assert 0 < bound_of(run, 43_200) < 30
    assert run["explained"]["verdicts"][0][0] == expected_of(run) == "tracking_broken"
    assert run["explained"]["guilty"] is None
    told = cause_figures([run])
    assert (told["top_1"].hits, told["outage_taken_for_real"].hits, told["outage_taken_for_real"].trials) == (1, 0, 1)
    whole = realistic_figures(
        [{"campaign_months": 1.0, "fleet_months": 1.0, "shipped": 0, "shipped_fleet": 0}], [run], rules={}
    )
    assert whole["by_cause"]["tracking outage"]["seen"].hits == 1
    assert whole["dollars"] == {"incidents": 0}, "no sale is lost, so no waste is counted"


def test_a_slow_page_is_seen_by_its_requests_and_named(broken: Callable[[str], dict[str, Any]]) -> None:
    run = broken("page latency")
    assert run["kind"] == "slow"
    assert run["delay"] <= 5
    assert run["explained"]["verdicts"][0][0] == "site_slow"
    assert sum(probability for _, probability in run["explained"]["verdicts"]) == pytest.approx(1.0)


def test_a_broken_checkout_is_paused_and_a_lost_tag_is_not(broken: Callable[[str], dict[str, Any]]) -> None:
    failing, untracked = broken("bad deploy"), broken("tracking outage")
    assert failing["explained"]["verdicts"][0][0] == "site_failing"
    assert failing["explained"]["paused"], "every order fails"
    assert all(right for _, right in failing["explained"]["paused"])
    assert failing["explained"]["paused_at"] >= 700 + failing["delay"]
    assert untracked["explained"]["paused"] == []
    told = cause_figures([failing, untracked])["pauses"]
    assert told["precision"].share == 1.0
    assert (told["asked_in_outages_and_late_feeds"].hits, told["asked_in_outages_and_late_feeds"].trials) == (0, 1)


def test_an_incident_has_a_number_and_is_the_same_every_time() -> None:
    fleet = draw_fleet(SEED, campaigns=CAMPAIGNS)
    one, same, other = (
        draw_incident(fleet, np.random.default_rng([SEED, 13, number]), onset=(0.0, 100.0)) for number in (1, 1, 2)
    )
    assert (one.cause, one.onset, one.size) == (same.cause, same.onset, same.size)
    assert one.onset != other.onset
    causes = {
        draw_incident(fleet, np.random.default_rng(number), onset=(0.0, 100.0)).cause.name for number in range(200)
    }
    assert causes == {cause.name for cause in CAUSES}
