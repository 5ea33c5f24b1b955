"""Spans as a busy shop's services send them, made so fast that the sender is not what is measured.

A batch is encoded once, as a template; every trace ID and platform ID in it holds the same eight bytes, and each copy that is sent
gets others in their place. So every copy is new traffic, at the price of one replacement and of gzip.
"""

from __future__ import annotations

import http.client
import random
import time
import zlib
from typing import Final

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from core.errors import ClicktraceError

#: Stands in every template where a copy gets eight bytes of its own: in trace IDs, and as text in platform IDs.
_MARK: Final = b"@@mark@@"
_NO_WAIT_S: Final = 0.05
_AGENT: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0"
)


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch is made of: traces of `spans_per_trace` spans, of which the first is a server's; `paid` of them come from an ad."""

    name: str
    traces: int
    spans_per_trace: int
    paid: float

    @property
    def spans(self) -> int:
        return self.traces * self.spans_per_trace


MIXES: Final = (
    Mix(name="a shop", traces=100, spans_per_trace=5, paid=0.05),
    Mix(name="nobody paid for", traces=500, spans_per_trace=1, paid=0.0),
    Mix(name="all paid", traces=100, spans_per_trace=5, paid=1.0),
)


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A batch whose copies can be sent; counts are of one copy."""

    body: bytes
    spans: int
    requests: int
    paid_spans: int

    def copy(self, number: int) -> bytes:
        """The batch as traffic of its own, gzipped. The eight new bytes are hex digits: they stand in text, too."""
        packer = zlib.compressobj(1, wbits=31)
        return packer.compress(self.body.replace(_MARK, b"%08x" % number)) + packer.flush()


def template(mix: Mix, *, now: int) -> Template:
    """A batch of spans that ended within the second before `now` (ms)."""
    chance = random.Random(1)
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.extend(
        [_pair("service.name", "shop"), _pair("service.version", "1.4.2"), _pair("telemetry.sdk.language", "nodejs")]
    )
    scope = resource.scope_spans.add()
    scope.scope.name = "@opentelemetry/instrumentation-http"
    paid = round(mix.traces * mix.paid)
    for number in range(mix.traces):
        _add_trace(scope.spans, number, mix=mix, paid=number < paid, now=now, chance=chance)
    return Template(
        body=message.SerializeToString(),
        spans=mix.spans,
        requests=mix.traces,
        paid_spans=paid * mix.spans_per_trace,
    )


def _add_trace(spans: object, number: int, *, mix: Mix, paid: bool, now: int, chance: random.Random) -> None:
    trace_id = _MARK + (number + 1).to_bytes(8, "big")
    root = chance.getrandbits(64).to_bytes(8, "big")
    for index in range(mix.spans_per_trace):
        span: Span = spans.add()  # type: ignore[attr-defined]  # protobuf's repeated field has no public type
        span.trace_id = trace_id
        span.span_id = root if index == 0 else chance.getrandbits(64).to_bytes(8, "big")
        span.start_time_unix_nano = (now - chance.randrange(500, 1000)) * 1_000_000
        span.end_time_unix_nano = (now - chance.randrange(1, 500)) * 1_000_000
        if index == 0:
            _as_request(span, query=f"gclid={_MARK.decode()}{number:08x}" if paid else "size=m")
        else:
            span.parent_span_id = root
            _as_query(span)


def _as_request(span: Span, *, query: str) -> None:
    """A server span by the semantic conventions, with the attributes that an HTTP instrumentation sets."""
    span.name, span.kind = "GET /p/{id}", Span.SPAN_KIND_SERVER
    texts = {
        "http.request.method": "GET",
        "http.route": "/p/{id}",
        "url.path": "/p/4711",
        "url.query": query,
        "url.scheme": "https",
        "server.address": "shop.example",
        "user_agent.original": _AGENT,
        "client.address": "198.51.100.7",
        "network.protocol.version": "1.1",
    }
    span.attributes.extend([_pair(name, value) for name, value in texts.items()])
    span.attributes.append(KeyValue(key="http.response.status_code", value=AnyValue(int_value=200)))


def _as_query(span: Span) -> None:
    span.name, span.kind = "SELECT shop.product", Span.SPAN_KIND_CLIENT
    texts = {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.collection.name": "product",
        "db.query.text": "SELECT id, name, price FROM product WHERE id = $1",
        "server.address": "db",
    }
    span.attributes.extend([_pair(name, value) for name, value in texts.items()])


def _pair(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


class Sender:
    """One exporter: a connection that sends batch after batch, and again what was refused with Retry-After."""

    def __init__(self, port: int, *, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
        }
        self.refused = 0

    def send(self, body: bytes) -> None:
        """Until it is taken.

        Raises:
            ClicktraceError: an answer that is neither 200 nor 503.
        """
        while True:
            self._connection.request("POST", "/v1/traces", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            if answer.status != 503:
                raise ClicktraceError(f"the receiver answered {answer.status}")
            self.refused += 1
            # Sooner than Retry-After: a bench asks how much is taken, not how long exporters wait.
            time.sleep(_NO_WAIT_S)

    def close(self) -> None:
        self._connection.close()
