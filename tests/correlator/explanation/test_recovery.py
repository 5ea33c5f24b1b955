from typing import Any

import numpy as np

from correlator.explanation.recovery import (
    ENTER_NATS,
    Watched,
    Witness,
    conversion_witness,
    judge,
    service_witness,
    share_witness,
    still_failing,
    traffic_witness,
)
from correlator.explanation.service_health import Change
from correlator.explanation.traffic import hits_a_second
from correlator.explanation.window import ServiceMinute

MINUTE = 60_000
START = 1_790_000_040_000
FAILING = Change("errors", "orders", "POST /order", "mobile", 0.01, 0.8, 200, 60.0)


def minutes(errors: list[int], requests: int = 30) -> list[ServiceMinute]:
    return [
        ServiceMinute("orders", "POST /order", "1", "mobile", START + i * MINUTE, requests, e, [])
        for i, e in enumerate(errors)
    ]


def test_a_route_that_answers_again_is_seen_within_two_minutes_of_organic_traffic() -> None:
    found = service_witness(minutes([24, 25, 0, 0]), [FAILING], not_before=START)
    assert found is not None
    assert found.log_ratio >= ENTER_NATS
    assert found.since == START + 2 * MINUTE


def test_a_route_that_still_fails_for_half_is_not_back() -> None:
    found = service_witness(minutes([24, 15, 14, 16]), [FAILING], not_before=START)
    assert found is not None
    assert judge(found, None, recovered=False) is None


def test_no_traffic_is_no_recovery() -> None:
    assert service_witness(minutes([], 0), [FAILING], not_before=START) is None


def test_the_most_doubtful_of_several_routes_decides() -> None:
    other = FAILING._replace(device="desktop")
    rows = minutes([0, 0, 0]) + [m._replace(device="desktop", errors=25) for m in minutes([0, 0, 0])]
    found = service_witness(rows, [FAILING, other], not_before=START)
    assert found is not None
    assert judge(found, None, recovered=False) is None


def test_conversions_that_contradict_hold_a_recovery_back() -> None:
    good, bad = Witness(20.0, START, "route"), Witness(-5.0, START, "conversions")
    assert judge(good, None, recovered=False) is good
    assert judge(good, bad, recovered=False) is None
    assert judge(None, good, recovered=False) is good


def test_a_recovered_incident_does_not_relapse_over_one_unlucky_minute() -> None:
    doubtful = Witness(2.5, START, "route")
    assert judge(doubtful, None, recovered=True) is doubtful
    assert judge(doubtful, None, recovered=False) is None


def test_conversions_of_new_clicks_show_a_recovery_by_themselves(window: Any) -> None:
    inside = np.ones(8, dtype=bool)
    healthy, failing = window(), window(keeps=lambda c: 0.2, onset=0)
    back = conversion_witness(healthy, inside, kept=0.2, not_before=START + 30 * 10_000, dispersion=1)
    still = conversion_witness(failing, inside, kept=0.2, not_before=START + 30 * 10_000, dispersion=1)
    assert back is not None
    assert still is not None
    assert back.log_ratio > ENTER_NATS
    assert still.log_ratio < 1


def test_a_wrong_return_is_rarer_than_one_in_a_hundred() -> None:
    random = np.random.default_rng(6)
    wrong = 0
    for _ in range(300):
        hits = random.binomial(10, 0.45, 12).astype(float)
        found = share_witness(hits, np.full(12, 10.0), np.arange(12), Watched(0.01, 0.8), name="x")
        wrong += found is not None and found.log_ratio >= ENTER_NATS
    assert wrong <= 3


def test_a_pause_that_takes_the_failing_requests_away_is_no_recovery() -> None:
    # The route serves other pages too: 40 % failed, after the pause of most of its campaigns 8 % still do.
    mixed = FAILING._replace(after=0.4, per_minute=60.0)
    found = service_witness(minutes([3, 2, 3, 2, 3]), [mixed], not_before=START, residual=0.2)
    assert judge(found, None, recovered=False) is None


def test_what_would_still_fail_shrinks_with_the_traffic_of_the_scope() -> None:
    change = FAILING._replace(after=0.4, per_minute=60.0)
    assert still_failing(change, np.full(3, 60.0), 1.0) == 0.4
    assert 0.1 < still_failing(change, np.full(3, 40.0), 0.25) < 0.2
    assert still_failing(change, np.full(3, 15.0), 0.25) == 0.4


def test_both_witnesses_add_up() -> None:
    route, bought = Witness(3.0, START, "route"), Witness(2.0, START, "conversions")
    assert judge(route, None, recovered=False) is None
    assert judge(route, bought, recovered=False) is route


def test_a_flood_is_over_when_the_hits_are_as_many_as_before_not_when_enough_was_bought(window: Any) -> None:
    flooded = window(growth=lambda c: 40.0, growth_ends=66, buckets=80, per_bucket=2.0)
    inside = np.ones(len(flooded.cells), dtype=bool)
    usual, failing = hits_a_second(flooded, inside, 60)
    assert failing > 5 * usual
    watched = Watched(usual, failing)
    found = traffic_witness(flooded, inside, watched, not_before=int(flooded.starts[60]))
    assert found is not None
    assert found.log_ratio > ENTER_NATS
    assert abs(found.since - int(flooded.starts[66])) <= 10_000


def test_a_flood_that_goes_on_at_half_its_size_is_not_over(window: Any) -> None:
    flooded = window(growth=lambda c: 20.0, buckets=80, per_bucket=2.0)
    inside = np.ones(len(flooded.cells), dtype=bool)
    usual, failing = hits_a_second(flooded, inside, 60)
    found = traffic_witness(flooded, inside, Watched(usual, 2 * failing), not_before=int(flooded.starts[60]))
    assert found is None or found.log_ratio <= 0
