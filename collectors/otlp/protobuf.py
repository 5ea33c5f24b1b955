"""OTLP in protobuf: ExportTraceServiceRequest and ExportMetricsServiceRequest to our own structs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.otlp.signals import ERROR, MAX_ERROR_TEXT, Batch, PointData, SpanData, service_of
from core.errors import Invalid

_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


def decode_traces(body: bytes, *, wanted: Collection[str] | None = None) -> Batch:
    """Spans of one request, with the `wanted` attributes; None = all of them.

    Raises:
        Invalid: `malformed` (400).
    """
    request = _parse(body, ExportTraceServiceRequest())
    batch = Batch(rejected={})
    for resource_spans in request.resource_spans:
        service, version = service_of(attributes(resource_spans.resource.attributes))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                trace_id, span_id = span.trace_id, span.span_id
                if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
                    batch.reject("bad_ids")
                    continue
                batch.spans.append(_span(span, service=service, version=version, wanted=wanted))
    return batch


def decode_metrics(body: bytes) -> Batch:
    """Data points of one request.

    Raises:
        Invalid: `malformed` (400).
    """
    request = _parse(body, ExportMetricsServiceRequest())
    batch = Batch(rejected={})
    for resource_metrics in request.resource_metrics:
        service, _ = service_of(attributes(resource_metrics.resource.attributes))
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _points(metric, service=service, batch=batch)
    return batch


def attributes(pairs: Iterable[Any], *, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Attributes as text; lists and maps as JSON."""
    if wanted is None:
        return {pair.key: _text(pair.value) for pair in pairs}
    # Reading a value costs as much as all the rest of an attribute, and most are of no use here.
    return {key: _text(pair.value) for pair in pairs if (key := pair.key) in wanted}


def _parse(body: bytes, message: Any) -> Any:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Invalid("malformed", f"the body is not an OTLP protobuf message: {error}", status=400) from None
    return message


def _span(span: Any, *, service: str, version: str, wanted: Collection[str] | None) -> SpanData:
    parent = span.parent_span_id
    status = span.status.code if span.HasField("status") else 0
    return SpanData(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=parent.hex() if len(parent) == 8 and parent != _NO_SPAN else "",
        trace_state=span.trace_state,
        name=span.name,
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=status,
        error=_error(span, failed=status == ERROR) if (status == ERROR or span.events) else "",
        attributes=attributes(span.attributes, wanted=wanted),
        service=service,
        version=version,
    )


def _error(span: Any, *, failed: bool) -> str:
    """The last exception of the span as "type: message", else the status message of a failed one."""
    for event in reversed(span.events):
        if event.name == "exception":
            return error_text(attributes(event.attributes))
    return span.status.message[:MAX_ERROR_TEXT] if failed else ""


def error_text(values: dict[str, str]) -> str:
    """An exception event's attributes as one line (OpenTelemetry semantic conventions, "exception")."""
    parts = [values.get("exception.type", ""), values.get("exception.message", "")]
    return ": ".join(part for part in parts if part)[:MAX_ERROR_TEXT]


def _text(value: Any) -> str:
    text = value.string_value
    if text:
        return str(text)
    which = value.WhichOneof("value")
    if which == "string_value":
        return ""
    if which == "bool_value":
        return "true" if value.bool_value else "false"
    if which in ("int_value", "double_value"):
        return str(getattr(value, which))
    return "" if which is None else msgspec.json.encode(_plain(value)).decode()


def _plain(value: Any) -> object:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: _plain(item.value) for item in value.kvlist_value.values}
    if which == "bytes_value":
        return value.bytes_value.hex()
    return None if which is None else getattr(value, which)


def _points(metric: Any, *, service: str, batch: Batch) -> None:
    """Gauges and sums keep their value; of distributions the count and the sum, which is what a rate or mean needs."""
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    for point in getattr(metric, kind).data_points:
        if kind in ("gauge", "sum"):
            which = point.WhichOneof("value")
            values = {metric.name: float(getattr(point, which)) if which else math.nan}
        else:
            values = {f"{metric.name}.count": float(point.count), f"{metric.name}.sum": float(point.sum)}
        add_point(
            batch, service=service, time_ns=point.time_unix_nano, values=values, pairs=attributes(point.attributes)
        )


def add_point(batch: Batch, *, service: str, time_ns: int, values: dict[str, float], pairs: dict[str, str]) -> None:
    """Take one data point, or reject it when it holds no finite number."""
    if not all(map(math.isfinite, values.values())):
        batch.reject("not_a_number")
        return
    for name, value in values.items():
        batch.points.append(PointData(service=service, name=name, time_ns=time_ns, value=value, attributes=pairs))
