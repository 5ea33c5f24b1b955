"""Click lines become spans that a real OTLP receiver understands, and a histogram with exemplars."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from sqlalchemy import Engine

from core.click_telemetry import ClickTelemetry, recent_clicks
from core.identity import root_span_id
from core.journal.writer import JournalWriter
from core.records import Click, Envelope, Line
from core.settings import JournalConfig
from core.shipper import Shipper
from core.store.client import Store
from tests.conftest import FakeClock
from tests.core.lines import click


class Receiver:
    """An OTLP/HTTP receiver on loopback that keeps the spans it gets."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        receiver.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.stop()


def line(record: Click) -> Line:
    return Line(segment="s", envelope=Envelope(v=1, known_at=record.ts, o=0), record=record)


def again(first: Click, **changes: Any) -> Click:
    """Another hit of the same click."""
    return Click(**{name: getattr(first, name) for name in first.__struct_fields__} | changes)


def test_each_hit_is_a_child_of_the_root_that_is_exported_once(receiver: Receiver) -> None:
    telemetry = ClickTelemetry(endpoint=receiver.url)
    first = again(click(1, duration_us=150, campaign="google:1:2"), platform_ids={"gclid": "x"})
    telemetry.observe("click", [line(first), line(again(first, hit_id="00000000000000aa"))])
    telemetry.observe("click", [line(click(2, http_status=503))])
    telemetry.close()
    one = [span for span in receiver.spans if span.trace_id.hex() == first.click_id]
    root = [span for span in one if not span.parent_span_id]
    hits = [span for span in one if span.parent_span_id]
    assert [span.span_id.hex() for span in root] == [root_span_id(first.click_id)]
    assert [span.span_id.hex() for span in hits] == [first.hit_id, "00000000000000aa"]
    assert {span.parent_span_id.hex() for span in hits} == {root_span_id(first.click_id)}
    assert hits[0].end_time_unix_nano - hits[0].start_time_unix_nano == 150_000
    assert hits[0].start_time_unix_nano == first.ts * 1_000_000
    (lost,) = [span for span in receiver.spans if span.trace_id.hex() == click(2).click_id and span.parent_span_id]
    assert (lost.status.code, lost.status.message) == (2, "unavailable")


def test_a_hit_says_what_the_semantic_conventions_ask_for(receiver: Receiver) -> None:
    telemetry = ClickTelemetry(endpoint=receiver.url)
    hit = again(
        click(1, http_status=503), reason="unavailable", method="POST", parallel=True, campaign="google:1:2", variant="b",
        user_agent="Firefox", routing=["open", "ios:country"], visitor_id="ab" * 16, network="192.0.2.0/24",
        platform_ids={"gclid": "secret"}, page="",
    )  # fmt: skip
    telemetry.observe("click", [line(hit)])
    telemetry.close()
    [span] = [span for span in receiver.spans if span.parent_span_id]
    said = {attribute.key: attribute.value for attribute in span.attributes}
    assert (span.name, span.kind) == ("POST /{slug}", 2)
    assert {name: said[name].string_value for name in said if said[name].HasField("string_value")} == {
        "http.request.method": "POST",
        "http.route": "/{slug}",
        "url.path": f"/{hit.slug}",
        "server.address": hit.domain,
        "user_agent.original": "Firefox",
        "error.type": "unavailable",
        "clicktrace.click_id": hit.click_id,
        "clicktrace.campaign": "google:1:2",
        "clicktrace.link_id": hit.link_id,
        "clicktrace.slug": hit.slug,
        "clicktrace.variant": "b",
        "clicktrace.reason": "unavailable",
    }
    assert said["http.response.status_code"].int_value == 503
    assert said["clicktrace.parallel"].bool_value is True
    assert [value.string_value for value in said["clicktrace.routing"].array_value.values] == ["open", "ios:country"]
    everything = str(receiver.spans)
    assert not [word for word in ("secret", "ab" * 16, "192.0.2") if word in everything], (
        "nothing that erasure must reach"
    )


def test_sampling_decides_per_click_id_and_the_histogram_counts_all(receiver: Receiver) -> None:
    telemetry = ClickTelemetry(endpoint=receiver.url, sampling=0.25)
    clicks = [click(number * 0x0123456789ABCDEF % 2**64, ts=1_790_000_000_000) for number in range(400)]
    telemetry.observe("click", [line(one) for one in clicks])
    telemetry.observe("click", [line(one) for one in clicks])
    telemetry.close()
    exported = {span.trace_id.hex() for span in receiver.spans}
    assert exported == {one.click_id for one in clicks if telemetry.sampled(one.click_id)}
    assert 60 < len(exported) < 140
    registry = registry_of(telemetry)
    assert registry.get_sample_value("clicktrace_click_duration_seconds_count", {"outcome": "redirected"}) == 800
    named = set(re.findall(r'trace_id="(\w+)"', generate_latest(registry).decode()))
    assert named, "and an exemplar is a click that was sampled"
    assert named <= exported


def test_buckets_are_cumulative_and_carry_the_trace_of_a_click() -> None:
    telemetry = ClickTelemetry()
    telemetry.observe("click", [line(click(1, duration_us=60)), line(click(2, duration_us=3_000))])
    telemetry.observe("click", [line(click(3, duration_us=9, http_status=503))])
    registry = registry_of(telemetry)

    def value(bound: str, outcome: str = "redirected") -> float | None:
        labels = {"outcome": outcome, "le": bound}
        return registry.get_sample_value("clicktrace_click_duration_seconds_bucket", labels)

    assert (value("5e-05"), value("0.0001"), value("0.005"), value("+Inf")) == (0, 1, 2, 2)
    assert value("5e-05", "lost") == 1
    text = generate_latest(registry).decode()
    assert f'# {{trace_id="{click(2).click_id}"}} 0.003 {click(2).ts / 1000}' in text


def test_the_lag_of_journal_and_shipper_is_measured_click_by_click() -> None:
    clock = FakeClock(now=10_000)
    telemetry = ClickTelemetry(clock=clock)
    held = Line(segment="s", envelope=Envelope(v=1, known_at=7_000, o=0), record=click(1, ts=3_000))
    ahead = Line(segment="s", envelope=Envelope(v=1, known_at=11_000, o=0), record=click(2, ts=12_000))
    telemetry.observe("click", [held, ahead])
    registry = registry_of(telemetry)
    assert registry.get_sample_value("clicktrace_journal_lag_seconds_sum") == 4.0
    assert registry.get_sample_value("clicktrace_shipper_lag_seconds_sum") == 3.0
    assert registry.get_sample_value("clicktrace_shipper_lag_seconds_bucket", {"le": "2.5"}) == 1, (
        "a clock that differs"
    )
    assert registry.get_sample_value("clicktrace_click_spans_queued") is None, "without an endpoint no span is made"


def registry_of(telemetry: ClickTelemetry) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(telemetry.metrics)
    return registry


def test_a_restarted_process_does_not_begin_a_click_anew(
    store: Store, control: Engine, journal: JournalWriter, journal_dir: Path, clock: FakeClock, receiver: Receiver
) -> None:
    derived, minted = again(click(1), platform_ids={"gclid": "x"}), click(2)

    def ship(telemetry: ClickTelemetry) -> None:
        Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock, observers=[telemetry]).run_once()
        telemetry.close()

    journal.append_many([derived, minted])
    ship(ClickTelemetry(endpoint=receiver.url))
    known = recent_clicks(store, now=clock())
    assert known == [derived.click_id], "an ID that was minted cannot come again"
    journal.append(again(derived, hit_id="00000000000000aa"))
    ship(ClickTelemetry(endpoint=receiver.url, known=known))
    traces = [(span.trace_id.hex(), bool(span.parent_span_id)) for span in receiver.spans]
    assert traces.count((derived.click_id, False)) == 1
    assert traces.count((derived.click_id, True)) == 2


def test_an_unreachable_receiver_does_not_stop_the_shipper(
    store: Store, control: Engine, journal: JournalWriter, journal_dir: Path, clock: FakeClock
) -> None:
    telemetry = ClickTelemetry(endpoint="http://127.0.0.1:1/v1/traces")
    shipper = Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock, observers=[telemetry])
    journal.append(click(1))
    journal.append_many([click(2)], known_at=[5])
    started = time.monotonic()
    assert shipper.run_once().lines == 2
    registry = registry_of(telemetry)
    count = registry.get_sample_value("clicktrace_click_duration_seconds_count", {"outcome": "redirected"})
    assert count == 1, "claimed history is no live click"
    telemetry.close()
    assert time.monotonic() - started < 8
    assert registry.get_sample_value("clicktrace_click_spans_total", {"outcome": "failed"}) == 2


def test_signals_of_machines_are_counted_by_word_and_only_those_of_the_list() -> None:
    telemetry = ClickTelemetry(signals=("headless", "no_accept"))
    telemetry.observe("click", [line(again(click(1), bot_signals=["headless", "made up"])), line(click(2))])
    registry = registry_of(telemetry)

    def count(signal: str) -> float | None:
        return registry.get_sample_value("clicktrace_click_signals_total", {"signal": signal})

    assert [count(word) for word in ("headless", "no_accept", "made up")] == [1, 0, None]
