"""What the Prometheus source makes of answers, and what settings it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.prometheus.collector import PrometheusSource, spans
from collectors.prometheus.config import MAX_POINTS, PrometheusConfig, PrometheusConnection
from collectors.prometheus.series import our_buckets
from collectors.windows import Window
from core.clock import HOUR_MS
from core.records import DURATION_BOUNDS_S
from tests.collectors.sandboxes.prometheus import PrometheusSandbox

NOW = 1_790_000_040_000


@given(st.integers(0, 10**9), st.integers(1, 10**8), st.sampled_from([1, 15, 60, 3600]))
def test_spans_hold_every_step_of_a_window_once_and_none_is_too_long(since: int, length: int, step_s: int) -> None:
    found = spans(since, since + length, step_s=step_s)
    steps = [at for first, last in found for at in (first, last)]
    assert all((last - first) // step_s + 1 <= MAX_POINTS for first, last in found)
    first = -(-since // (step_s * 1000)) * step_s
    expected = [at for at in range(first, (since + length) // 1000 + 1, step_s) if at * 1000 < since + length]
    assert (steps[:1], steps[-1:]) == (expected[:1], expected[-1:])
    assert sum((last - first) // step_s + 1 for first, last in found) == len(expected)


@given(st.dictionaries(st.sampled_from([0.001, 0.1, 0.3, 2.5, 60.0, float("inf")]), st.integers(0, 500)))
def test_buckets_lose_no_request_and_make_none_faster(counts: dict[float, int]) -> None:
    total, cumulative = 0, []
    for bound in sorted(counts):
        total += counts[bound]
        cumulative.append((bound, float(total)))
    ours = our_buckets(cumulative)
    assert sum(ours) == total
    for index, count in enumerate(ours):
        low = DURATION_BOUNDS_S[index - 1] if index else 0.0
        high = DURATION_BOUNDS_S[index] if index < len(DURATION_BOUNDS_S) else float("inf")
        assert count == sum(n for bound, n in counts.items() if low < bound <= high)


@pytest.fixture
def sandbox(tmp_path: Path) -> Any:
    with PrometheusSandbox(tmp_path, clock=lambda: NOW) as running:
        yield running


def source(sandbox: PrometheusSandbox, **changes: Any) -> PrometheusSource:
    fields = {
        "name": "main",
        "endpoint": sandbox.endpoint,
        "credentials_file": str(sandbox.credentials_file),
        "gauges": [{"name": "orders", "query": "orders"}],
    }
    return PrometheusSource(PrometheusConnection.model_validate(fields | changes), config=PrometheusConfig())


@pytest.mark.parametrize(
    ("warning", "failed"),
    [("thanos: store 10.0.0.7 timed out", 1), ("PromQL warning: quantile value should be between 0 and 1", 0)],
)
def test_a_part_that_did_not_answer_is_a_partial_success(sandbox: Any, warning: str, failed: int) -> None:
    sandbox.samples.append((NOW - HOUR_MS, 7, 7.0))
    sandbox.warnings = [warning]
    fetched = source(sandbox).fetch(Window(since=NOW - 2 * HOUR_MS, until=NOW), now=NOW, deadline_s=5)
    assert (len(fetched.records), fetched.failed) == (1, failed)


def test_credentials_travel_as_a_header_and_stand_in_no_error(sandbox: Any, tmp_path: Path) -> None:
    secret = tmp_path / "basic"
    secret.write_text("reader:s3cret\n")
    source(sandbox, credentials_file="", basic_auth_file=str(secret), org_id="acme")
    with pytest.raises(Exception, match="401") as refused:
        source(sandbox, credentials_file="", basic_auth_file=str(secret), org_id="acme").fetch(
            Window(since=NOW - HOUR_MS, until=NOW), now=NOW, deadline_s=5
        )
    assert "s3cret" not in str(refused.value)
    headers = sandbox.requests[-1].headers
    assert (headers["authorization"], headers["x-scope-orgid"]) == ("Basic cmVhZGVyOnMzY3JldA==", "acme")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"endpoint": "prometheus:9090"}, "http://"),
        ({"endpoint": "http://a:b@prometheus:9090"}, "basic_auth_file"),
        ({"gauges": []}, "name something to read"),
        ({"credentials_file": "a", "basic_auth_file": "b"}, "not both"),
        ({"gauges": [{"name": "x", "query": "a"}, {"name": "x", "query": "b"}]}, "same name: x"),
    ],
    ids=["no scheme", "password in the address", "nothing to read", "two credentials", "one name twice"],
)
def test_settings_that_cannot_work_are_refused_at_the_start(changes: dict[str, Any], word: str) -> None:
    fields = {"name": "main", "endpoint": "http://localhost:9090", "gauges": [{"name": "x", "query": "a"}]}
    with pytest.raises(ValidationError, match=word):
        PrometheusConnection.model_validate(fields | changes)
