"""A real Prometheus with three hours of a shop's history, read by range queries."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.demo.processes import Child
from app.ports import free_port
from collectors.prometheus.collector import PrometheusSource
from collectors.prometheus.config import PrometheusConfig, PrometheusConnection
from collectors.versions import RECENT_MS
from collectors.windows import Window
from core.clock import HOUR_MS, MINUTE_MS
from core.errors import Permanent
from core.records import Gauge, Service
from tests.collectors.every_source import Parts, runner_of

#: The history begins here: minutes later than five hours before the present would lie in the head block.
HOURS = 3
PER_MINUTE = {"/p": 120, "/order": 30}
SLOW = 10
BOUNDS = (0.1, 0.5, 2.0)
SERVICES = {
    "requests": 'sum by (service, route, version) (increase(http_requests_total[1m]))',
    "errors": 'sum by (service, route, version) (increase(http_requests_total{code="500"}[1m]))',
    "buckets": "sum by (service, route, version, le) (increase(http_seconds_bucket[1m]))",
    "duration_sum": "sum by (service, route, version) (increase(http_seconds_sum[1m]))",
}  # fmt: skip
GAUGES = [
    {"name": "queue.depth", "query": "queue_depth", "labels": ["queue"]},
    {"name": "hit.rate", "query": 'queue_depth{queue="mail"} / 0'},
]


def history(start_s: int) -> str:
    """Counters that grow evenly, scraped each 15 s, as OpenMetrics text. Every tenth minute one order in six fails."""
    lines = ["# TYPE http_requests counter"]
    ticks = range(0, HOURS * 3600 + 1, 15)
    for route, per_minute in PER_MINUTE.items():
        for code in ("200", "500"):
            labels = f'service="shop",route="{route}",version="1.4.2",code="{code}"'
            for tick in ticks:
                failed = per_minute * tick / 60 / 6 if route == "/order" else 0
                value = failed if code == "500" else per_minute * tick / 60 - failed
                lines.append(f"http_requests_total{{{labels}}} {value:g} {start_s + tick}")
    lines.append("# TYPE http_seconds histogram")
    for route, per_minute in PER_MINUTE.items():
        labels = f'service="shop",route="{route}",version="1.4.2"'
        for le, share in (("0.1", 0.5), ("0.5", 0.9), ("2.0", 1.0), ("+Inf", 1.0)):
            lines += [
                f'http_seconds_bucket{{{labels},le="{le}"}} {share * per_minute * t / 60:g} {start_s + t}'
                for t in ticks
            ]
        lines += [f"http_seconds_sum{{{labels}}} {0.2 * per_minute * t / 60:g} {start_s + t}" for t in ticks]
    lines.append("# TYPE queue_depth gauge")
    lines += [f'queue_depth{{queue="mail",service="cart"}} {t // 60 % 7} {start_s + t}' for t in ticks]
    return "\n".join([*lines, "# EOF"]) + "\n"


class Real:
    def __init__(self, url: str, start: int) -> None:
        self.url = url
        self.start = start
        self.end = start + HOURS * HOUR_MS

    def connection(self, **changes: Any) -> PrometheusConnection:
        fields = {"name": "main", "endpoint": self.url, "services": [SERVICES], "gauges": GAUGES}
        return PrometheusConnection.model_validate(fields | changes)

    def source(self, **changes: Any) -> PrometheusSource:
        return PrometheusSource(self.connection(**changes), config=PrometheusConfig())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    binary, promtool = shutil.which("prometheus"), shutil.which("promtool")
    assert binary, "install it: apt-get install prometheus (make test does)"
    assert promtool
    folder = tmp_path_factory.mktemp("prometheus")
    start = (int(time.time()) // 3600 - 9) * 3600
    (folder / "history.txt").write_text(history(start))
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "history.txt", folder / "data"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (folder / "prometheus.yaml").write_text("scrape_configs: []\n")
    port = free_port()
    arguments = [
        f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    child = Child("prometheus", [binary, *arguments], log=folder / "prometheus.log")
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while not _ready(url):
            assert time.monotonic() < deadline, (folder / "prometheus.log").read_text("utf-8")[-2000:]
            time.sleep(0.1)
        yield Real(url, start * 1000)
    finally:
        child.stop()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False


def fetch(real: Real, **changes: Any) -> list[Any]:
    window = Window(since=real.start + HOUR_MS, until=real.start + 2 * HOUR_MS)
    fetched = real.source(**changes).fetch(window, now=real.end, deadline_s=20)
    assert (fetched.failed, fetched.invalid) == (0, 0), fetched.detail
    return fetched.records


def test_counters_and_histograms_become_service_minutes(real: Real) -> None:
    minutes = [record for record in fetch(real) if isinstance(record, Service)]
    by_route = {route: [one for one in minutes if one.route == route] for route in PER_MINUTE}
    assert [len(found) for found in by_route.values()] == [60, 60]
    # The window holds the minutes that end in it.
    assert [one.ts for one in by_route["/p"]] == [real.start + HOUR_MS + n * MINUTE_MS for n in range(-1, 59)]
    [page], [order] = ({(one.requests, one.errors) for one in by_route[route]} for route in PER_MINUTE)
    assert (page, order) == ((120, 0), (30, 5))
    [one] = {tuple(each.buckets) for each in by_route["/p"]}
    # 0.1, 0.5 and 2 s of theirs lie in our buckets up to 0.1, 0.5 and 2.5 s.
    assert one == (0, 0, 0, 0, 60, 0, 48, 0, 12, 0, 0, 0)
    assert by_route["/p"][0].duration_sum_s == pytest.approx(24.0, rel=0.01)
    assert {(each.service, each.version, each.source) for each in minutes} == {("shop", "1.4.2", "prometheus:main")}


def test_gauges_have_their_value_at_each_step_and_what_is_no_number_is_left_out(real: Real) -> None:
    found = [record for record in fetch(real) if isinstance(record, Gauge)]
    assert {gauge.name for gauge in found} == {"queue.depth"}, "x / 0 is infinite, 0 / 0 is none"
    assert len(found) == 60
    assert {(each.service, tuple(each.attributes.items())) for each in found} == {("cart", (("queue", "mail"),))}
    assert [each.value for each in found[:8]] == [(60 + n) % 7 for n in range(8)]
    assert len({each.fact_id for each in found}) == 60


def test_what_is_younger_than_the_documented_lag_is_left_for_the_next_read(real: Real) -> None:
    now = real.start + 2 * HOUR_MS
    source = real.source(gauges=[GAUGES[0]], services=[])
    found = source.fetch(Window(since=now - 10 * MINUTE_MS, until=now), now=now, deadline_s=20).records
    assert max(each.ts for each in found) == now - 2 * MINUTE_MS


def test_a_span_that_prometheus_would_refuse_is_asked_for_in_parts(real: Real) -> None:
    """1 s steps over three hours and a bit are more than 11,000 points."""
    source = real.source(gauges=[GAUGES[0]], services=[], step_s=1)
    window = Window(since=real.start - 20 * MINUTE_MS, until=real.end)
    found = source.fetch(window, now=real.end + HOUR_MS, deadline_s=30).records
    assert len({each.fact_id for each in found}) == len(found) == HOURS * 3600


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"gauges": [{"name": "x", "query": "sum("}]}, "parse error"),
        ({"gauges": [{"name": "x", "query": "queue_depth * on(nothing) http_requests_total"}], "services": []}, "many"),
        ({"max_series": 1}, "max_series"),
    ],
    ids=["syntax", "execution", "too many series"],
)
def test_a_query_that_cannot_work_stops_the_source_with_the_servers_own_words(
    real: Real, changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(Permanent, match=word):
        fetch(real, **changes)


def test_the_doctor_is_told_of_a_query_without_series(real: Real) -> None:
    source = real.source()
    with pytest.raises(Permanent, match="no series in the last 10 minutes"):
        source.probe(now=real.end + 5 * HOUR_MS, deadline_s=10)
    # queue_depth / 0 has a series, too, though its values are no numbers.
    assert source.probe(now=real.end, deadline_s=10) == "reads 16 series"


def test_read_by_the_runner_a_second_time_after_a_restart_nothing_adds_up(
    real: Real, journal: Any, control: Any, store: Any, clock: Any, ship: Any
) -> None:
    clock.now = real.end
    config = PrometheusConfig(backfill_s=2 * 3600, recent_s=3600)
    parts = Parts(journal, control, store, clock)
    for _ in range(2):
        runner = runner_of([PrometheusSource(real.connection(), config=config)], parts)
        runner.run_once(clock.now)
        assert runner.statuses()[0].state == "complete", runner.statuses()[0].detail
        runner.stop()
        ship()
        clock.advance(RECENT_MS + 5 * MINUTE_MS)
    [row] = store.rows("SELECT sum(requests) AS requests, uniqExact(ts) AS minutes FROM service WHERE route = '/order'")
    assert row["requests"] == 30 * row["minutes"]
    [gauges] = store.rows("SELECT count() AS rows, uniqExact(fact_id) AS facts FROM gauge")
    assert gauges["rows"] == gauges["facts"]
    [current] = store.rows("SELECT count() AS rows FROM gauge_current")
    assert current["rows"] == gauges["rows"]
