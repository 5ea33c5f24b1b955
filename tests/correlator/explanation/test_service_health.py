import pytest

from correlator.explanation.service_health import Proof, find_changes, proof_log_ratio, rise_log_ratio, versions_of
from correlator.explanation.window import ServiceMinute

MINUTE = 60_000
ONSET = 1_790_000_040_000


def minute(
    at: int,
    *,
    errors: int = 0,
    slow: int = 0,
    requests: int = 60,
    route: str = "POST /order",
    device: str = "mobile",
    version: str = "1",
) -> ServiceMinute:
    buckets = [0, 0, 0, 0, requests - slow, 0, 0, 0, 0, 0, slow, 0]
    return ServiceMinute("orders", route, version, device, ONSET + at * MINUTE, requests, errors, buckets)


PAST = [minute(i) for i in range(-15, 0)]


def test_a_failing_route_is_found_with_its_shares() -> None:
    [change] = find_changes([*PAST, minute(0, errors=40), minute(1, errors=50)], onset=ONSET + 5_000, bounds={})
    assert (change.kind, change.route, change.device) == ("errors", "POST /order", "mobile")
    assert change.after == pytest.approx(50 / 60)  # the onset's own minute is half healthy
    assert change.before < 0.01
    assert change.log_ratio > 10


def test_a_slow_route_is_found() -> None:
    [change] = find_changes([*PAST, minute(0, slow=45)], onset=ONSET, bounds={})
    assert (change.kind, change.bound_s) == ("slow", 1.0)


def test_a_busy_minute_without_errors_is_no_change() -> None:
    assert find_changes([*PAST, minute(0, requests=9_000)], onset=ONSET, bounds={}) == []


def test_one_error_among_few_requests_is_no_change() -> None:
    assert find_changes([*PAST, minute(0, errors=1, requests=6)], onset=ONSET, bounds={}) == []


def test_errors_are_attributed_to_the_version_that_makes_them() -> None:
    rows = [*PAST, minute(0, errors=0), minute(0, errors=50, version="2"), minute(1, errors=55, version="2")]
    changes = find_changes(rows, onset=ONSET, bounds={})
    shares = {v.version: v.failed for v in versions_of(rows, changes, "orders", onset=ONSET)}
    assert shares["2"] > 0.8
    assert shares["1"] < 0.05


def test_clicks_with_failed_traces_that_never_convert_are_proof() -> None:
    assert proof_log_ratio(Proof(120, 0, 800, 64)) > 6
    assert proof_log_ratio(Proof(120, 10, 800, 64)) == pytest.approx(0, abs=0.5)
    assert proof_log_ratio(Proof(0, 0, 800, 64)) == 0


def test_a_falling_share_is_no_rise() -> None:
    assert rise_log_ratio(50, 100, 10, 100) == 0
