"""What independent senders send over a real socket: the SDKs for Python and JavaScript as their authors publish them."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from app.auth import KeyAuthorization, KeyRing
from app.problems import install
from collectors.config import OtlpConfig
from collectors.otlp import api as otlp_api
from collectors.otlp import protobuf
from collectors.otlp.receiver import Receiver
from core.clock import now_ms
from core.identity import derive
from core.records import Gauge, Service, Span
from tests.collectors.test_otlp import JSON, PROTOBUF, as_json, as_protobuf, counted_outcome, span, traces

SENDER = Path(__file__).parent / "senders" / "sender.mjs"
CLICK = derive("gclid", b"Cj0a b")


class Door:
    """The receiver behind a real socket, with real time."""

    def __init__(self, journal: Any, control: Any, *, config: OtlpConfig) -> None:
        keys = KeyRing(control)
        self.key = keys.add("sender", scopes=["ingest"])
        self.receiver = Receiver(journal, lambda _ids, since=0: {}, config=config)
        app = FastAPI()
        install(app)
        app.include_router(otlp_api.build_router(self.receiver, authorize=KeyAuthorization(keys), config=config))
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def flush(self) -> None:
        self.receiver.flush(now_ms())

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/v1/traces", body, {"Authorization": f"Bearer {self.key}", **named})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def fill(self) -> None:
        """Leave no room in the queue, until `flush`."""
        full = traces(*[span(span_id=f"{n + 1:016x}", end_ms=now_ms()) for n in range(100)])
        while self.receiver.offer(protobuf.decode_traces(as_protobuf(full))):
            pass

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture
def door(journal: Any, control: Any) -> Iterator[Door]:
    door = Door(journal, control, config=OtlpConfig(queue_max_spans=20_000))
    yield door
    door.close()


def javascript(door: Door, **what: Any) -> None:
    """Run the JavaScript SDK once, until it has sent everything."""
    argument = json.dumps({"url": door.url, "key": door.key, **what})
    run = subprocess.run(["node", str(SENDER), argument], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "sent\n"), run.stderr


def of(journaled: Any, kind: type) -> list[Any]:
    return [record for record in journaled() if isinstance(record, kind)]


@pytest.mark.parametrize(
    ("encoding", "compression"), [("json", "none"), ("json", "gzip"), ("protobuf", "none"), ("protobuf", "gzip")]
)
def test_the_javascript_sdk_is_understood(door: Door, journaled: Any, encoding: str, compression: str) -> None:
    javascript(door, encoding=encoding, compression=compression, attributes={"url.query": "gclid=Cj0a%20b"})
    door.flush()
    [minute] = of(journaled, Service)
    assert (minute.service, minute.version, minute.route, minute.requests, minute.errors) == (
        "shop-js", "3.1", "/order", 1, 1
    )  # fmt: skip
    spans = {found.name: found for found in of(journaled, Span)}
    server, child = spans["POST /order"], spans["INSERT order"]
    assert {server.click_id, child.click_id} == {CLICK}
    assert (server.kind_of, server.http_status, server.error) == ("server", 500, "TypeError: no stock")
    assert (child.kind_of, child.parent_span_id) == ("client", server.span_id)
    assert child.attributes == {"db.system.name": "postgresql"}
    gauges = {gauge.name: gauge for gauge in of(journaled, Gauge)}
    assert {name: gauge.value for name, gauge in gauges.items()} == {
        "queue.depth": 3.0, "latency.count": 1.0, "latency.sum": 0.25
    }  # fmt: skip
    assert gauges["queue.depth"].attributes == {"queue": "orders"}


def test_the_javascript_sdk_sends_again_what_was_refused(door: Door, journaled: Any) -> None:
    door.fill()
    refused = counted_outcome("traces", "busy")
    relief = threading.Timer(1.5, door.flush)
    relief.start()
    javascript(door, encoding="protobuf", compression="gzip")
    relief.join()
    door.flush()
    assert counted_outcome("traces", "busy") > refused
    assert sum(minute.requests for minute in of(journaled, Service) if minute.service == "shop-js") == 1


def test_the_python_sdk_sends_again_what_was_refused(door: Door, journaled: Any) -> None:
    door.fill()
    refused = counted_outcome("traces", "busy")
    relief = threading.Timer(0.5, door.flush)
    relief.start()
    exporter = OTLPSpanExporter(
        endpoint=f"{door.url}/v1/traces",
        headers={"authorization": f"Bearer {door.key}"},
        compression=Compression.Gzip,
    )
    provider = TracerProvider(resource=Resource.create({"service.name": "shop-py"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    with provider.get_tracer("t").start_as_current_span("GET /", kind=SpanKind.SERVER):
        pass
    provider.shutdown()
    relief.join()
    door.flush()
    assert counted_outcome("traces", "busy") > refused
    assert sum(minute.requests for minute in of(journaled, Service) if minute.service == "shop-py") == 1


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
def test_a_batch_of_four_megabytes_is_taken_whole(door: Door, journaled: Any, media_type: str) -> None:
    encode = as_protobuf if media_type == PROTOBUF else as_json
    one = span(http__route="/p", end_ms=now_ms(), db__query__text="x" * 700)
    count = 4 * 2**20 // len(encode(traces(one, one, one, one))) * 4 - 8
    spans = [{**one, "traceId": f"{n + 1:032x}", "spanId": f"{n + 1:016x}"} for n in range(count)]
    body = encode(traces(*spans))
    assert 3.5 * 2**20 < len(body) <= 4 * 2**20
    assert door.post(body, content_type=media_type)[0] == 200
    door.flush()
    assert sum(minute.requests for minute in of(journaled, Service)) == count
    zipped = gzip.compress(body * 3 if media_type == PROTOBUF else body, 1)
    assert door.post(zipped, content_type=media_type, content_encoding="gzip")[0] == 200


def test_fields_of_a_later_protocol_are_passed_over(door: Door, journaled: Any) -> None:
    """Unknown protobuf fields at every level: a varint, a fixed one and a message."""
    known = ExportTraceServiceRequest.FromString(as_protobuf(traces(span(http__route="/p", end_ms=now_ms()))))
    unknown = bytes([0xF8, 0x3F, 0x01]) + bytes([0xFD, 0x3F, 1, 2, 3, 4]) + bytes([0xFA, 0x3F, 2, 0x08, 0x01])
    resource = known.resource_spans[0]
    for message in (resource.scope_spans[0].spans[0], resource.scope_spans[0], resource.resource, resource, known):
        message.MergeFromString(unknown)
    body = known.SerializeToString()
    assert body.count(unknown) == 5
    assert door.post(body, content_type=PROTOBUF) == (200, b"")
    door.flush()
    assert [minute.requests for minute in of(journaled, Service)] == [1]


def test_a_request_that_does_not_fit_is_refused_before_it_is_decoded(door: Door) -> None:
    door.fill()
    while door.receiver.offer(protobuf.decode_traces(as_protobuf(traces(span(end_ms=now_ms()))))):
        pass
    assert door.receiver.full
    status, _ = door.post(b"\xff" * 40, content_type=PROTOBUF)
    assert status == 503, "not 400: nobody looked"
    door.flush()
    assert not door.receiver.full


def test_what_waits_is_bounded_in_bytes_too(journal: Any, clock: Any) -> None:
    receiver = Receiver(journal, lambda _ids, since=0: {}, config=OtlpConfig(queue_max_bytes=10_000), clock=clock)
    batch = protobuf.decode_traces(as_protobuf(traces(span())))
    batch.size = 6_000
    assert [receiver.offer(batch) for _ in range(3)] == [True, False, False]
    receiver.flush(clock.now)
    assert receiver.offer(batch)
