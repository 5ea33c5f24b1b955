"""Counters in shared memory and what Prometheus sees of them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from redirect.counters import BUCKETS, FIRST_BUCKET, SLOT, Counters, bucket_of, read_all
from redirect.metrics import RedirectCollector
from redirect.reasons import OUTCOMES

from .live_worker import ThreadWorker


def test_a_restarted_worker_goes_on_counting_and_its_gauges_start_anew(tmp_path: Path) -> None:
    first = Counters(tmp_path, index=3)
    first.add("bytes_sent", 10)
    first.set("links", 7)
    first.close()
    second = Counters(tmp_path, index=3)
    second.add("bytes_sent", 5)
    [read] = read_all(tmp_path)
    assert (read.index, read.values["bytes_sent"], read.values["links"]) == (3, 15, 0)
    second.close()


def test_a_file_of_another_layout_is_left_out_and_started_anew(tmp_path: Path) -> None:
    folder = tmp_path / "counters"
    folder.mkdir()
    (folder / "redirect-0").write_bytes(b"something else" * 100)
    (folder / "redirect-x").write_bytes(b"")
    assert read_all(tmp_path) == []
    Counters(tmp_path, index=0).close()
    assert [one.values["bytes_sent"] for one in read_all(tmp_path)] == [0]


def test_a_worker_counts_for_itself_where_it_can_make_no_file(tmp_path: Path) -> None:
    (tmp_path / "counters").write_text("in the way")
    counters = Counters(tmp_path, index=0)
    counters.add("bytes_sent", 2)
    assert counters.slots[SLOT["bytes_sent"]] == 2
    assert read_all(tmp_path) == []
    counters.close()


def test_no_worker_is_no_metric_sample_and_no_error(tmp_path: Path) -> None:
    assert read_all(tmp_path / "nowhere") == []


@given(st.integers(min_value=0, max_value=2**40))
def test_a_duration_falls_into_the_smallest_bucket_that_holds_it(duration_us: int) -> None:
    bucket = bucket_of(duration_us)
    assert 0 <= bucket < BUCKETS
    if bucket < BUCKETS - 1:
        assert duration_us <= 2**bucket
    if bucket > 0:
        assert duration_us > 2 ** (bucket - 1)


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0.0, max_value=100.0), min_size=1, max_size=50))
def test_durations_of_a_tick_are_counted_as_one_by_one(starts: list[float]) -> None:
    end = 100.0
    with TemporaryDirectory() as folder:
        counters = Counters(Path(folder), index=0)
        counters.observe(list(starts), end=end)
        counted = [counters.slots[FIRST_BUCKET + bucket] for bucket in range(BUCKETS)]
        total_us = counters.slots[SLOT["duration_us_sum"]]
        counters.close()
    expected = [0] * BUCKETS
    for start in starts:
        expected[bucket_of(int((end - start) * 1e6))] += 1
    # A duration within a microsecond of a bucket's bound may fall on either side of it.
    off = [abs(sum(counted[: bucket + 1]) - sum(expected[: bucket + 1])) for bucket in range(BUCKETS)]
    near = [sum(abs((end - start) * 1e6 - 2**bucket) < 2 for start in starts) for bucket in range(BUCKETS)]
    assert sum(counted) == len(starts)
    assert all(difference <= close for difference, close in zip(off, near, strict=True))
    assert abs(total_us - sum((end - start) * 1e6 for start in starts)) <= 2


def scrape(data_dir: Path) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(RedirectCollector(data_dir))
    samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = (sample.labels.get("outcome") or sample.labels.get("le") or "",)
            samples[(sample.name, *labels)] = sample.value
    return samples


def test_what_happened_is_what_prometheus_reads(worker: ThreadWorker) -> None:
    client = worker.connect()
    for target in ("/spring", "/spring", "/none"):
        client.get(target)
    samples = scrape(worker.data_dir)
    assert samples[("clicktrace_redirect_requests_total", "redirected")] == 2
    assert samples[("clicktrace_redirect_requests_total", "unknown_slug")] == 1
    assert samples[("clicktrace_redirect_duration_seconds_count", "")] == 3
    assert samples[("clicktrace_redirect_duration_seconds_bucket", "+Inf")] == 3
    assert 0 < samples[("clicktrace_redirect_duration_seconds_sum", "")] < 3
    assert samples[("clicktrace_redirect_sent_bytes_total", "")] > 300
    assert samples[("clicktrace_redirect_journal_writes_total", "")] == 2
    assert samples[("clicktrace_redirect_connections_total", "")] == 1
    assert samples[("clicktrace_redirect_lost_total", "")] == 0


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_sample(tmp_path: Path, outcome: str) -> None:
    Counters(tmp_path, index=0).close()
    assert scrape(tmp_path)[("clicktrace_redirect_requests_total", outcome)] == 0


def test_metric_names_follow_the_rules(tmp_path: Path) -> None:
    for family in RedirectCollector(tmp_path).collect():
        assert family.name.startswith("clicktrace_redirect_")
        assert family.documentation.endswith(".")
