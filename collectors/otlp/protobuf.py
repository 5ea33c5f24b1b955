"""OTLP in protobuf: ExportTraceServiceRequest and ExportMetricsServiceRequest to our own structs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collectors.otlp.signals import ERROR, MAX_ERROR_TEXT, Batch, PointData, SpanData
from core.errors import Invalid


def decode_traces(body: bytes) -> Batch:
    """Spans of one request.

    Raises:
        Invalid: `malformed` (400).
    """
    request = _parse(body, ExportTraceServiceRequest())
    batch = Batch(rejected={})
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        service, version = resource.get("service.name", "unknown_service"), resource.get("service.version", "")
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if (
                    len(span.trace_id) != 16
                    or len(span.span_id) != 8
                    or not any(span.trace_id)
                    or not any(span.span_id)
                ):
                    batch.reject("bad_ids")
                    continue
                batch.spans.append(_span(span, service=service, version=version))
    return batch


def decode_metrics(body: bytes) -> Batch:
    """Data points of one request.

    Raises:
        Invalid: `malformed` (400).
    """
    request = _parse(body, ExportMetricsServiceRequest())
    batch = Batch(rejected={})
    for resource_metrics in request.resource_metrics:
        service = attributes(resource_metrics.resource.attributes).get("service.name", "unknown_service")
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _points(metric, service=service, batch=batch)
    return batch


def attributes(pairs: Iterable[Any]) -> dict[str, str]:
    """Attributes as text; lists and maps as JSON."""
    return {pair.key: _text(pair.value) for pair in pairs}


def _parse(body: bytes, message: Any) -> Any:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Invalid("malformed", f"the body is not an OTLP protobuf message: {error}", status=400) from None
    return message


def _span(span: Any, *, service: str, version: str) -> SpanData:
    status = span.status.code if span.HasField("status") else 0
    return SpanData(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() if len(span.parent_span_id) == 8 else "",
        trace_state=span.trace_state,
        name=span.name,
        kind=span.kind,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status=status,
        error=_error(span, failed=status == ERROR) if (status == ERROR or span.events) else "",
        attributes=attributes(span.attributes),
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
    which = value.WhichOneof("value")
    if which == "string_value":
        return str(value.string_value)
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
