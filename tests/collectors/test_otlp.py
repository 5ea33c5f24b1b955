from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from prometheus_client import REGISTRY

from collectors.otlp import json_encoding, protobuf
from collectors.refusals import REASONS
from core.clock import MINUTE_MS, floor_minute
from core.errors import Refusal
from core.identity import derive
from core.records import DURATION_BOUNDS_S, Gauge, Service, Span

NS = 1_000_000
NOW = 1_790_000_000_000
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Mobile/15E148 Safari/604.1"
)
CLICK = "0123456789abcdef0123456789abcdef"
TRACE = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def span(
    *,
    trace_id: str = TRACE,
    span_id: str = "1111111111111111",
    parent: str = "",
    name: str = "GET /p",
    kind: int = 2,
    end_ms: int = NOW - 1000,
    duration_ms: float = 20.0,
    error: bool = False,
    events: list[dict[str, str]] | None = None,
    trace_state: str = "",
    **attributes: Any,
) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "spanId": span_id,
        "parentSpanId": parent,
        "traceState": trace_state,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(end_ms * NS - round(duration_ms * NS)),
        "endTimeUnixNano": str(end_ms * NS),
        "attributes": [_pair(key.replace("__", "."), value) for key, value in attributes.items()],
        "events": [{"name": "exception", "attributes": [_pair(k, v) for k, v in e.items()]} for e in events or []],
        "status": {"code": 2 if error else 0, "message": "broken" if error else ""},
    }


def _pair(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    return {"key": key, "value": {"stringValue": value}}


def traces(*spans: dict[str, Any], service: str = "shop", version: str = "1.0") -> dict[str, Any]:
    resource = {"attributes": [_pair("service.name", service), _pair("service.version", version)]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "t"}, "spans": list(spans)}]}]}


def as_json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def as_protobuf(message: dict[str, Any]) -> bytes:
    """The same request in protobuf; IDs go through base64, as proto3 JSON has them."""

    def ids(value: Any) -> Any:
        if isinstance(value, list):
            return [ids(item) for item in value]
        if isinstance(value, dict):
            import base64

            return {
                key: base64.b64encode(bytes.fromhex(item)).decode() if key.endswith("Id") and item else ids(item)
                for key, item in value.items()
            }
        return value

    kind = ExportTraceServiceRequest if "resourceSpans" in message else ExportMetricsServiceRequest
    return json_format.ParseDict(ids(message), kind()).SerializeToString()  # type: ignore[no-any-return]


ENCODINGS = pytest.mark.parametrize(
    ("encode", "media_type"), [(as_json, JSON), (as_protobuf, PROTOBUF)], ids=["json", "protobuf"]
)


def send(doors: Any, message: dict[str, Any]) -> None:
    response = doors.post("/v1/traces", as_protobuf(message), content_type=PROTOBUF)
    assert response.status_code == 200, response.content


def counted_outcome(signal: str, outcome: str) -> float:
    labels = {"signal": signal, "outcome": outcome}
    return REGISTRY.get_sample_value("clicktrace_otlp_requests_total", labels) or 0.0


def flush(doors: Any, clock: Any) -> None:
    doors.receiver.flush(clock.now)


# --- requests ------------------------------------------------------------------------------------------------------------------


@ENCODINGS
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_spans_become_service_minutes_in_every_encoding(
    doors: Any, journaled: Any, clock: Any, encode: Any, media_type: str, zipped: bool
) -> None:
    message = traces(
        span(http__route="/p", user_agent__original=PHONE, duration_ms=300.0),
        span(span_id="2" * 16, http__route="/p", user_agent__original=PHONE, duration_ms=4.0),
        span(span_id="3" * 16, http__route="/order", http__response__status_code=503, duration_ms=12_000.0),
        span(span_id="4" * 16, http__route="/order", error=True),
        span(span_id="5" * 16, http__route="/order", http__response__status_code=404),
        span(span_id="6" * 16, kind=3, http__route="/p"),
    )
    body = encode(message)
    headers = {"content_encoding": "gzip"} if zipped else {}
    response = doors.post("/v1/traces", gzip.compress(body) if zipped else body, content_type=media_type, **headers)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)
    flush(doors, clock)
    rows = {row.route: row for row in journaled() if isinstance(row, Service)}
    page, order = rows["/p"], rows["/order"]
    assert (page.service, page.version, page.device, page.ts) == ("shop", "1.0", "mobile", floor_minute(NOW - 1000))
    assert (page.requests, page.errors, page.duration_sum_s) == (2, 0, pytest.approx(0.304))
    assert [DURATION_BOUNDS_S[i] for i, n in enumerate(page.buckets) if n] == [0.005, 0.5]
    assert (order.requests, order.errors, order.device, order.buckets[-1]) == (3, 2, "other", 1)
    assert len(page.buckets) == len(DURATION_BOUNDS_S) + 1


def test_minutes_of_several_flushes_add_up(doors: Any, journaled: Any, clock: Any) -> None:
    for number in range(3):
        send(doors, traces(span(span_id=f"{number + 1:016x}", http__route="/p")))
        flush(doors, clock)
    rows = [row for row in journaled() if isinstance(row, Service)]
    assert [row.requests for row in rows] == [1, 1, 1]
    assert len({row.ts for row in rows}) == 1


@pytest.mark.parametrize(
    ("attributes", "name", "route"),
    [
        ({"http__route": "/p/{id}"}, "GET", "/p/{id}"),
        ({}, "GET /p", "/p"),
        ({}, "GET", "GET"),
        ({}, "handle order", "handle order"),
    ],
)
def test_the_route_is_the_template_never_the_path(
    doors: Any, journaled: Any, clock: Any, attributes: dict[str, str], name: str, route: str
) -> None:
    send(doors, traces(span(name=name, url__path="/p/4711", **attributes)))
    flush(doors, clock)
    assert journaled()[0].route == route


def test_routes_without_bound_end_in_one_bucket(journal: Any, journaled: Any, clock: Any) -> None:
    from collectors.config import OtlpConfig
    from collectors.otlp.receiver import Receiver
    from collectors.otlp.signals import Batch

    receiver = Receiver(journal, lambda _ids, since=0: {}, config=OtlpConfig(max_routes=10), clock=clock)
    spans = [span(span_id=f"{n + 1:016x}", http__route=f"/item/{n}") for n in range(50)]
    receiver.offer(Batch(spans=protobuf.decode_traces(as_protobuf(traces(*spans))).spans))
    receiver.flush(clock.now)
    rows = [row for row in journaled() if isinstance(row, Service)]
    assert len(rows) == 11
    assert sum(row.requests for row in rows) == 50


@ENCODINGS
def test_an_empty_request_is_fine(doors: Any, journaled: Any, encode: Any, media_type: str) -> None:
    for message in ({"resourceSpans": []}, traces()):
        assert doors.post("/v1/traces", encode(message), content_type=media_type).status_code == 200
    assert journaled() == []


def test_unknown_json_fields_and_numbers_for_strings_are_read(doors: Any, journaled: Any, clock: Any) -> None:
    message = traces(span(http__route="/p") | {"flags": 257, "droppedLinksCount": 1, "links": [{"x": 1}]})
    only = message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    only["startTimeUnixNano"], only["endTimeUnixNano"] = int(only["startTimeUnixNano"]), int(only["endTimeUnixNano"])
    only["kind"], only["parentSpanId"], only["traceId"] = "SPAN_KIND_SERVER", None, TRACE.upper()
    message["schemaUrl"] = "x"
    assert doors.post("/v1/traces", as_json(message), content_type="application/json; charset=utf-8").status_code == 200
    flush(doors, clock)
    assert journaled()[0].requests == 1


@ENCODINGS
def test_spans_without_ids_are_a_partial_success(
    doors: Any, journaled: Any, clock: Any, encode: Any, media_type: str
) -> None:
    bad = [span(trace_id="0" * 32), span(span_id="00"), span(trace_id="ab")]
    response = doors.post("/v1/traces", encode(traces(span(http__route="/p"), *bad)), content_type=media_type)
    assert response.status_code == 200
    if media_type == JSON:
        partial = response.json()["partialSuccess"]
        assert partial["rejectedSpans"] == "3"
        assert "bad_ids" in partial["errorMessage"]
    else:
        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        assert partial.rejected_spans == 3
        assert "bad_ids" in partial.error_message
    flush(doors, clock)
    assert journaled()[0].requests == 1


CORRUPT: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "protobuf cut": (as_protobuf(traces(span()))[:-5], {"content_type": PROTOBUF}, 400, "malformed"),
    "protobuf noise": (b"\xff" * 40, {"content_type": PROTOBUF}, 400, "malformed"),
    "json cut": (as_json(traces(span()))[:-5], {"content_type": JSON}, 400, "malformed"),
    "json of another shape": (b'{"resourceSpans": 5}', {"content_type": JSON}, 400, "malformed"),
    "json deep": (b'{"a":' + b"[" * 50_000, {"content_type": JSON}, 400, "malformed"),
    "json not utf-8": (
        b'{"resourceSpans":[{"resource":{"attributes":[{"key":"\xff"}]}}]}',
        {"content_type": JSON},
        400,
        "malformed",
    ),
    "gzip noise": (b"no gzip", {"content_type": PROTOBUF, "content_encoding": "gzip"}, 400, "malformed"),
    "gzip cut": (
        gzip.compress(as_protobuf(traces(span())))[:-9],
        {"content_type": PROTOBUF, "content_encoding": "gzip"},
        400,
        "malformed",
    ),
    "gzip bomb": (
        gzip.compress(b"\0" * 2_000_000),
        {"content_type": PROTOBUF, "content_encoding": "gzip"},
        413,
        "body_too_large",
    ),
    "body too large": (b"x" * 200_001, {"content_type": PROTOBUF}, 413, "body_too_large"),
    "text": (b"x", {"content_type": "text/plain"}, 415, "unsupported_media_type"),
    "no type": (b"x", {}, 415, "unsupported_media_type"),
    "brotli": (b"x", {"content_type": JSON, "content_encoding": "br"}, 415, "unsupported_media_type"),
}


@pytest.mark.parametrize(("body", "headers", "status", "reason"), CORRUPT.values(), ids=CORRUPT.keys())
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
def test_what_cannot_be_read_is_refused_as_the_protocol_says(
    doors: Any, journaled: Any, clock: Any, path: str, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    if path == "/v1/metrics" and reason == "malformed" and b"resourceSpans" in body:
        body = body.replace(b"resourceSpans", b"resourceMetrics")
    response = doors.post(path, body, **headers)
    assert response.status_code == status
    text = (
        Status.FromString(response.content).message
        if headers.get("content_type") == PROTOBUF
        else response.json()["message"]
    )
    assert text.startswith(reason)
    assert reason in REASONS
    flush(doors, clock)
    assert journaled() == []


def test_no_key_is_401(doors: Any) -> None:
    assert doors.post("/v1/traces", b"", key="", content_type=PROTOBUF).status_code == 401


def test_a_full_queue_tells_the_sender_to_retry_and_takes_again_after_a_flush(doors: Any, clock: Any) -> None:
    batch = as_protobuf(traces(*[span(span_id=f"{n + 1:016x}") for n in range(400)]))
    before = counted_outcome("traces", "busy")
    statuses = [doors.post("/v1/traces", batch, content_type=PROTOBUF).status_code for _ in range(3)]
    assert statuses == [200, 200, 503]
    assert counted_outcome("traces", "busy") == before + 1
    refused = doors.post("/v1/traces", batch, content_type=PROTOBUF)
    assert int(refused.headers["retry-after"]) > 0
    flush(doors, clock)
    assert doors.post("/v1/traces", batch, content_type=PROTOBUF).status_code == 200


# --- clocks --------------------------------------------------------------------------------------------------------------------


def test_a_span_from_the_future_counts_now_and_an_ancient_one_is_refused(
    doors: Any, journaled: Any, clock: Any
) -> None:
    ahead = span(http__route="/p", end_ms=NOW + 3 * 3_600_000)
    old = span(span_id="2" * 16, http__route="/p", end_ms=NOW - 25 * 3_600_000)
    response = doors.post("/v1/traces", as_json(traces(ahead, old)), content_type=JSON)
    assert response.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert "too_old" in response.json()["partialSuccess"]["errorMessage"]
    flush(doors, clock)
    (row,) = journaled()
    assert (row.ts, row.requests) == (floor_minute(NOW), 1)


def test_a_span_that_ends_before_it_starts_took_no_time(doors: Any, journaled: Any, clock: Any) -> None:
    send(doors, traces(span(http__route="/p", duration_ms=-500.0)))
    flush(doors, clock)
    assert journaled()[0].duration_sum_s == 0.0


def test_a_late_span_counts_in_its_own_minute(doors: Any, journaled: Any, clock: Any) -> None:
    send(doors, traces(span(http__route="/p", end_ms=NOW - 10 * MINUTE_MS)))
    flush(doors, clock)
    assert journaled()[0].ts == floor_minute(NOW - 10 * MINUTE_MS)


# --- paid clicks ---------------------------------------------------------------------------------------------------------------


def kept(journaled: Any) -> list[Span]:
    return [record for record in journaled() if isinstance(record, Span)]


GCLID_CLICK = derive("gclid", b"Cj0a b")
NAMES_A_CLICK: dict[str, tuple[str, dict[str, Any], bool]] = {
    "trace id": (CLICK, {"trace_id": CLICK}, True),
    "ct_click in url.full": (CLICK, {"url__full": f"https://shop.example/p?a=1&ct_click={CLICK}#top"}, True),
    "ct_click in url.query": (CLICK, {"url__query": f"ct_click={CLICK}"}, True),
    "ct_click in http.target": (CLICK, {"http__target": f"/p?ct_click={CLICK}"}, True),
    "platform id in url.full": (GCLID_CLICK, {"url__full": "https://shop.example/p?gclid=Cj0a%20b"}, False),
    "platform id in url.query": (GCLID_CLICK, {"url__query": "?x=1&gclid=Cj0a%20b"}, False),
    "platform id in http.target": (GCLID_CLICK, {"http__target": "/p?gclid=Cj0a%20b"}, False),
    "attribute": (CLICK, {"clicktrace__click_id": CLICK}, True),
    "tracestate": (CLICK, {"trace_state": f"rojo=1,clicktrace={CLICK}"}, True),
}


@pytest.mark.parametrize(("click", "how", "look_up"), NAMES_A_CLICK.values(), ids=NAMES_A_CLICK.keys())
def test_a_span_names_its_click_in_any_of_the_documented_ways_and_its_whole_trace_follows(
    doors: Any, journaled: Any, clock: Any, click: str, how: dict[str, Any], look_up: bool
) -> None:
    doors.known_clicks |= {click: True} if look_up else {}
    server = span(**how)
    before = span(trace_id=server["traceId"], span_id="2" * 16, parent="1" * 16, kind=3, name="SELECT")
    after = span(trace_id=server["traceId"], span_id="3" * 16, parent="1" * 16, kind=3, name="charge")
    send(doors, traces(before))
    flush(doors, clock)
    clock.advance(3000)
    send(doors, traces(server))
    flush(doors, clock)
    clock.advance(3000)
    send(doors, traces(after))
    flush(doors, clock)
    spans = kept(journaled)
    assert {found.span_id for found in spans} == {"1" * 16, "2" * 16, "3" * 16}
    assert {found.click_id for found in spans} == {click}


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"url__full": "https://shop.example/p?gclid=%7Bgclid%7D"},
        {"url__full": "https://shop.example/p?gclid="},
        {"url__full": f"https://shop.example/p?ct_click={CLICK}"},
        {"url__query": "gbraid=0AAA"},
        {"clicktrace__click_id": "not a click"},
        {"trace_state": "rojo=1"},
    ],
    ids=["nothing", "macro", "empty", "unknown click", "match key", "bad attribute", "other tracestate"],
)
def test_spans_of_unpaid_traffic_are_counted_and_dropped(
    doors: Any, journaled: Any, clock: Any, how: dict[str, Any]
) -> None:
    send(doors, traces(span(http__route="/p", **how)))
    for _ in range(70):
        flush(doors, clock)
        clock.advance(1000)
    assert kept(journaled) == []
    assert doors.receiver._traces.held == 0
    assert [row.requests for row in journaled()] == [1]


def test_an_organic_click_is_known_and_still_not_kept(doors: Any, journaled: Any, clock: Any) -> None:
    doors.known_clicks[CLICK] = False
    send(doors, traces(span(url__query=f"ct_click={CLICK}")))
    flush(doors, clock)
    assert kept(journaled) == []


def test_a_click_that_reaches_the_store_after_its_spans_is_found(doors: Any, journaled: Any, clock: Any) -> None:
    send(doors, traces(span(url__query=f"ct_click={CLICK}")))
    flush(doors, clock)
    doors.known_clicks[CLICK] = True
    clock.advance(2000)
    flush(doors, clock)
    assert [found.click_id for found in kept(journaled)] == [CLICK]


def test_ct_click_goes_before_a_platform_id_once_the_click_is_there(doors: Any, journaled: Any, clock: Any) -> None:
    send(doors, traces(span(url__query=f"gclid=Cj0a%20b&ct_click={CLICK}")))
    flush(doors, clock)
    assert kept(journaled) == [], "the click may still be on its way"
    doors.known_clicks[CLICK] = True
    clock.advance(2000)
    flush(doors, clock)
    assert [found.click_id for found in kept(journaled)] == [CLICK]


def test_a_platform_id_that_says_the_same_as_ct_click_decides_at_once(doors: Any, journaled: Any, clock: Any) -> None:
    send(doors, traces(span(url__query=f"gclid=Cj0a%20b&ct_click={GCLID_CLICK}")))
    flush(doors, clock)
    assert [found.click_id for found in kept(journaled)] == [GCLID_CLICK]


def test_the_store_is_asked_once_per_trace_and_batch(journal: Any, clock: Any) -> None:
    from collectors.config import OtlpConfig
    from collectors.otlp.receiver import Receiver

    asked: list[list[str]] = []

    def lookup(ids: Any, since: int = 0) -> dict[str, bool]:
        asked.append(list(ids))
        return {}

    receiver = Receiver(journal, lookup, config=OtlpConfig(), clock=clock)
    spans = [span(trace_id=f"{trace + 1:032x}", span_id=f"{n + 1:016x}") for trace in range(20) for n in range(10)]
    receiver.offer(protobuf.decode_traces(as_protobuf(traces(*spans))))
    for _ in range(10):
        receiver.flush(clock.now)
        clock.advance(100)
    assert [len(ids) for ids in asked if ids] == [20]


def test_held_spans_are_bounded_and_the_oldest_go_first(journal: Any, journaled: Any, clock: Any) -> None:
    from collectors.config import OtlpConfig
    from collectors.otlp.receiver import Receiver

    known: dict[str, bool] = {}
    receiver = Receiver(
        journal,
        lambda ids, since=0: {i: known[i] for i in ids if i in known},
        config=OtlpConfig(held_max_spans=50, max_spans_per_trace=10),
        clock=clock,
    )
    for trace in range(20):
        spans = [span(trace_id=f"{trace + 1:032x}", span_id=f"{n + 1:016x}", kind=1) for n in range(15)]
        receiver.offer(protobuf.decode_traces(as_protobuf(traces(*spans))))
        receiver.flush(clock.now)
    assert receiver._traces.held <= 50
    known |= {f"{trace + 1:032x}": True for trace in range(20)}
    clock.advance(2000)
    receiver.flush(clock.now)
    assert {found.click_id for found in kept(journaled)} == {f"{trace + 1:032x}" for trace in range(15, 20)}


def test_a_store_that_does_not_answer_only_delays(journal: Any, journaled: Any, clock: Any) -> None:
    from collectors.config import OtlpConfig
    from collectors.otlp.receiver import Receiver
    from core.errors import StoreError

    down = [True]

    def lookup(ids: Any, since: int = 0) -> dict[str, bool]:
        if down[0]:
            raise StoreError("gone")
        return dict.fromkeys(ids, True)

    receiver = Receiver(journal, lookup, config=OtlpConfig(), clock=clock)
    receiver.offer(protobuf.decode_traces(as_protobuf(traces(span(http__route="/p")))))
    receiver.flush(clock.now)
    assert [type(record) for record in journaled()] == [Service], "minutes do not wait for clicks"
    down[0] = False
    clock.advance(1000)
    receiver.flush(clock.now)
    assert len(kept(journaled)) == 1


def test_a_failed_span_carries_its_exception_route_and_status(doors: Any, journaled: Any, clock: Any) -> None:
    failing = span(
        trace_id=CLICK,
        parent="2" * 16,
        name="POST /order",
        http__route="/order",
        http__request__method="POST",
        http__response__status_code=500,
        url__full="https://shop.example/order?email=ann@example.org",
        error=True,
        events=[
            {"exception.type": "ValueError", "exception.message": "first"},
            {"exception.type": "KeyError", "exception.message": "'basket'"},
        ],
        duration_ms=12.5,
    )
    doors.known_clicks[CLICK] = True
    send(doors, traces(failing, version="1.4.3"))
    flush(doors, clock)
    (found,) = kept(journaled)
    assert found == Span(
        ts=NOW - 1000 - 13,
        source="otlp",
        click_id=CLICK,
        trace_id=CLICK,
        span_id="1" * 16,
        parent_span_id="2" * 16,
        service="shop",
        name="POST /order",
        duration_us=12_500,
        status="error",
        kind_of="server",
        version="1.4.3",
        route="/order",
        http_status=500,
        error="KeyError: 'basket'",
        attributes={"http.request.method": "POST"},
    ), "and no attribute that may hold personal data"


def test_paid_clicks_are_found_in_the_stores_click_table(store: Any, journal: Any, ship: Any) -> None:
    from collectors.otlp.click_lookup import StoreClicks
    from core.records import Click

    def click(number: int, **fields: Any) -> Click:
        return Click(
            ts=NOW, source="redirect", click_id=f"{number:032x}", hit_id=f"{number:016x}", link_id="l", link_version=1,
            slug="s", domain="d", http_status=302, reason="ok", duration_us=1, **fields,
        )  # fmt: skip

    journal.append_many(
        [
            click(1, platform_ids={"gclid": "x"}),
            click(2, campaign="google:1:2"),
            click(3, campaign="spring"),
            click(4),
            click(4, platform_ids={"fbclid": "y"}),
        ]
    )
    ship()
    answer = StoreClicks(store)([f"{number:032x}" for number in range(1, 7)])
    assert answer == {f"{1:032x}": True, f"{2:032x}": True, f"{3:032x}": False, f"{4:032x}": True}
    assert StoreClicks(store)([]) == {}


# --- metrics -------------------------------------------------------------------------------------------------------------------


@ENCODINGS
def test_numbers_become_gauges(doors: Any, journaled: Any, clock: Any, encode: Any, media_type: str) -> None:
    time_ns = str(NOW * NS)
    point = {"timeUnixNano": time_ns, "attributes": [_pair("queue", "orders")]}
    message = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [_pair("service.name", "shop")]},
                "scopeMetrics": [
                    {
                        "metrics": [
                            {"name": "depth", "gauge": {"dataPoints": [{**point, "asDouble": 2.5}]}},
                            {"name": "sold", "sum": {"dataPoints": [{**point, "asInt": "7"}], "isMonotonic": True}},
                            {"name": "latency", "histogram": {"dataPoints": [{**point, "count": "4", "sum": 1.5}]}},
                            {"name": "odd", "gauge": {"dataPoints": [{**point, "asDouble": "NaN"}]}},
                        ]
                    }
                ],
            }
        ]
    }
    response = doors.post("/v1/metrics", encode(message), content_type=media_type)
    assert response.status_code == 200
    if media_type == JSON:
        assert response.json()["partialSuccess"]["rejectedDataPoints"] == "1"
    else:
        answer = ExportMetricsServiceResponse.FromString(response.content)
        assert answer.partial_success.rejected_data_points == 1
    flush(doors, clock)
    gauges = {record.name: record for record in journaled() if isinstance(record, Gauge)}
    assert {name: found.value for name, found in gauges.items()} == {
        "depth": 2.5,
        "sold": 7.0,
        "latency.count": 4.0,
        "latency.sum": 1.5,
    }
    assert (gauges["depth"].ts, gauges["depth"].attributes) == (NOW, {"queue": "orders"})


# --- the SDK that others use ---------------------------------------------------------------------------------------------------


@pytest.fixture
def port(doors: Any, clock: Any) -> Iterator[int]:
    clock.now = time.time_ns() // NS
    server = uvicorn.Server(uvicorn.Config(doors.client.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def test_the_python_sdk_is_understood_over_a_real_socket(doors: Any, journaled: Any, clock: Any, port: int) -> None:
    headers = {"authorization": f"Bearer {doors.key}"}
    resource = Resource.create({"service.name": "shop", "service.version": "2.0"})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces", headers=headers)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with contextlib.suppress(RuntimeError), tracer.start_as_current_span("POST /order", kind=SpanKind.SERVER) as server:
        server.set_attributes({"http.route": "/order", "url.query": "gclid=Cj0a%20b", "http.response.status_code": 500})
        with tracer.start_as_current_span("INSERT"):
            pass
        raise RuntimeError("no stock")
    provider.shutdown()
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=f"http://127.0.0.1:{port}/v1/metrics", headers=headers)
    )
    meters = MeterProvider(resource=resource, metric_readers=[reader])
    meters.get_meter("test").create_gauge("depth").set(3)
    meters.shutdown()
    clock.now = time.time_ns() // NS
    flush(doors, clock)
    records = journaled()
    (minute,) = [record for record in records if isinstance(record, Service)]
    assert (minute.route, minute.errors, minute.version) == ("/order", 1, "2.0")
    spans = {found.name: found for found in kept(journaled)}
    assert set(spans) == {"POST /order", "INSERT"}
    assert spans["POST /order"].error == "RuntimeError: no stock"
    assert spans["INSERT"].parent_span_id == spans["POST /order"].span_id
    assert any(isinstance(record, Gauge) and record.value == 3 for record in records)


def test_the_worker_flushes_by_itself_and_stops_twice(doors: Any, journaled: Any) -> None:
    doors.receiver.start()
    send(doors, traces(span(http__route="/p")))
    deadline = time.monotonic() + 5
    while not journaled() and time.monotonic() < deadline:
        time.sleep(0.05)
    doors.receiver.stop()
    doors.receiver.stop()
    assert journaled()[0].requests == 1


# --- robustness ----------------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "traceId",
        "spanId",
        "parentSpanId",
        "kind",
        "status",
        "events",
        "attributes",
        "startTimeUnixNano",
        "name",
        "traceState",
    ]
)


def outcome(decode: Any, body: bytes) -> str:
    try:
        decode(body)
    except Refusal as refusal:
        return refusal.reason
    return "read"


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_whatever_a_json_span_holds_it_is_read_or_malformed(changes: dict[str, Any]) -> None:
    body = as_json(traces({**span(), **changes}))
    assert outcome(json_encoding.decode_traces, body) in ("read", "malformed")
    assert outcome(json_encoding.decode_metrics, body) in ("read", "malformed")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
def test_whatever_bytes_come_as_protobuf_they_are_read_or_malformed(noise: bytes, at: int, byte: int) -> None:
    good = bytearray(as_protobuf(traces(span(http__route="/p", error=True, events=[{"exception.type": "E"}]))))
    good[at % len(good)] = byte
    for body in (noise, bytes(good)):
        assert outcome(protobuf.decode_traces, body) in ("read", "malformed")
        assert outcome(protobuf.decode_metrics, body) in ("read", "malformed")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "end_ms": st.integers(0, 2**50),
                "duration_ms": st.floats(-1e9, 1e9),
                "kind": st.integers(-5, 9),
                "name": st.text(max_size=20),
                "http__response__status_code": st.integers(-1, 99_999) | st.text(max_size=5),
                "user_agent__original": st.text(max_size=60),
                "url__full": st.text(max_size=40).map(lambda text: f"https://x/?gclid={text}&ct_click={text}"),
                "trace_state": st.text(max_size=20).map(lambda text: f"clicktrace={text}"),
            }
        ),
        max_size=5,
    )
)
def test_whatever_is_read_can_be_journaled(spans: list[dict[str, Any]]) -> None:
    import msgspec

    from collectors.config import OtlpConfig
    from collectors.otlp.receiver import Receiver
    from core.records import AnyRecord, Record

    lines: list[bytes] = []

    class Kept:
        def append_many(self, records: Any) -> int:
            lines.extend(msgspec.json.encode(record) for record in records)
            return len(lines)

    receiver = Receiver(Kept(), lambda _ids, since=0: {}, config=OtlpConfig(), clock=lambda: NOW)
    batch = json_encoding.decode_traces(as_json(traces(*[span(**fields) for fields in spans])))
    assert receiver.offer(batch)
    receiver.flush(NOW)
    assert all(isinstance(msgspec.json.decode(line, type=AnyRecord), Record) for line in lines)
