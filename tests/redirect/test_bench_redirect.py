"""The bench of the redirect: it reads wrk's report rightly, and a short run loses no click."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.bench.cases import Required
from app.bench.redirect import misses, run
from app.bench.wrk import parse_wrk
from core.errors import ClicktraceError

REPORT = """Running 5s test @ http://127.0.0.1:8081/spring
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   345.12us   80.00us   4.41ms   90.00%
    Req/Sec    91.12k     3.00k   95.00k    70.00%
  Latency Distribution
     50%  331.00us
     75%  360.00us
     90%    1.02ms
     99%    1.25s
  453210 requests in 5.00s, 120.00MB read
Requests/sec:  90642.13
Transfer/sec:     24.00MB
"""


def test_a_report_of_wrk_is_read() -> None:
    measured = parse_wrk(REPORT, cpu_s=4.5321)
    assert (measured.requests, measured.per_second) == (453_210, 90_642.13)
    assert (measured.p50_ms, measured.p99_ms) == (0.331, 1250.0)
    assert measured.cpu_us == pytest.approx(10.0)


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 3", "  Socket errors: connect 0, read 7, write 0, timeout 0"]
)
def test_a_run_with_errors_is_no_measurement(line: str) -> None:
    with pytest.raises(ClicktraceError, match="errors"):
        parse_wrk(REPORT + line + "\n", cpu_s=1.0)


def test_something_else_is_no_report() -> None:
    with pytest.raises(ClicktraceError, match="requests in"):
        parse_wrk("wrk: command not understood", cpu_s=1.0)


def test_every_bound_that_is_missed_is_named() -> None:
    required = Required(ratio=0.65, cpu_ratio=1.7, p99_ms=10.0)
    found = {"ratio": 0.64, "cpu_ratio": 1.8, "p99_ratio": 9.0, "p99_ms": 9.0}
    assert misses(required, found) == ["ratio 0.64 is below 0.65", "cpu_ratio 1.8 is above 1.7"]
    assert misses(required, {**found, "ratio": 0.65, "cpu_ratio": 1.7}) == []


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ClicktraceError, match="no case fast: write bare, browser"):
        run(seconds=1, rounds=1, connections=1, cases=["fast"])


@pytest.mark.slow
def test_a_short_run_answers_and_loses_nothing() -> None:
    """The cases that differ in the worker's settings; all of them run in the long suite."""
    result = cast(dict[str, Any], run(seconds=1, rounds=1, connections=8, cases=["browser", "conditions", "fsync"]))
    assert result["answered"] > 500
    assert result["lost"] == 0
    assert list(result["cases"]) == ["browser", "conditions", "fsync"]
    assert all(case["ratio"] > 0.02 for case in result["cases"].values())
