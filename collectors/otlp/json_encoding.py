"""OTLP in JSON (OTLP specification, "JSON Protobuf Encoding"): hex IDs, camelCase, enums as numbers, unknown fields ignored.

Own structs instead of protobuf's JSON parser: that one reads IDs as base64, as proto3 JSON says and OTLP does not, and is ten
times slower.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TypeVar

import msgspec

from collectors.otlp.protobuf import add_point, error_text
from collectors.otlp.signals import (
    ERROR,
    KINDS,
    MAX_ERROR_TEXT,
    NO_SPAN,
    NO_TRACE,
    STATUSES,
    Batch,
    SpanData,
    service_of,
)
from core.errors import Invalid

_HEX = frozenset("0123456789abcdef")


class _Message(msgspec.Struct, kw_only=True, rename="camel"):
    pass


class _Value(_Message):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    bytes_value: str | None = None
    array_value: _Array | None = None
    kvlist_value: _Attributes | None = None


class _Pair(_Message):
    key: str = ""
    value: _Value | None = None


class _Array(_Message):
    values: list[_Value] = []


class _Attributes(_Message):
    values: list[_Pair] = []


class _Resource(_Message):
    attributes: list[_Pair] = []


class _Status(_Message):
    code: int | str | None = 0
    message: str | None = ""


class _Event(_Message):
    name: str | None = ""
    attributes: list[_Pair] | None = []


class _Span(_Message):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = ""
    trace_state: str | None = ""
    name: str | None = ""
    kind: int | str | None = 0
    start_time_unix_nano: int = 0
    end_time_unix_nano: int = 0
    attributes: list[_Pair] | None = []
    events: list[_Event] | None = []
    status: _Status | None = None


class _ScopeSpans(_Message):
    spans: list[_Span] = []


class _ResourceSpans(_Message):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Traces(_Message):
    resource_spans: list[_ResourceSpans] = []


class _Point(_Message):
    time_unix_nano: int = 0
    as_double: float | None = None
    as_int: int | None = None
    count: int = 0
    sum: float = 0.0
    attributes: list[_Pair] | None = []


class _Points(_Message):
    data_points: list[_Point] = []


class _Metric(_Message):
    name: str = ""
    gauge: _Points | None = None
    sum: _Points | None = None
    histogram: _Points | None = None
    exponential_histogram: _Points | None = None
    summary: _Points | None = None


class _ScopeMetrics(_Message):
    metrics: list[_Metric] = []


class _ResourceMetrics(_Message):
    resource: _Resource | None = None
    scope_metrics: list[_ScopeMetrics] = []


class _Metrics(_Message):
    resource_metrics: list[_ResourceMetrics] = []


Message = TypeVar("Message", bound=_Message)


def decode_traces(body: bytes, *, wanted: Collection[str] | None = None) -> Batch:
    """Spans of one request, with the `wanted` attributes; None = all of them.

    Raises:
        Invalid: `malformed` (400).
    """
    batch = Batch(rejected={})
    for resource_spans in _parse(body, _Traces).resource_spans:
        resource = resource_spans.resource
        service, version = service_of(_attributes(resource.attributes if resource else None))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                _add_span(batch, span, service=service, version=version, wanted=wanted)
    return batch


def decode_metrics(body: bytes) -> Batch:
    """Data points of one request.

    Raises:
        Invalid: `malformed` (400).
    """
    batch = Batch(rejected={})
    for resource_metrics in _parse(body, _Metrics).resource_metrics:
        resource = resource_metrics.resource
        service, _ = service_of(_attributes(resource.attributes if resource else None))
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                _add_points(batch, metric, service=service)
    return batch


def _parse(body: bytes, message: type[Message]) -> Message:
    try:
        # Not strict: 64-bit integers come as strings or as numbers.
        return msgspec.json.decode(body, type=message, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", f"the body is not OTLP JSON: {error}", status=400) from None


def _add_span(batch: Batch, span: _Span, *, service: str, version: str, wanted: Collection[str] | None) -> None:
    trace_id, span_id = span.trace_id.lower(), span.span_id.lower()
    if not _is_id(trace_id, NO_TRACE) or not _is_id(span_id, NO_SPAN):
        batch.reject("bad_ids")
        return
    parent = (span.parent_span_id or "").lower()
    status = _enum(span.status.code if span.status else 0, STATUSES)
    batch.spans.append(
        SpanData(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent if _is_id(parent, NO_SPAN) else "",
            trace_state=span.trace_state or "",
            name=span.name or "",
            kind=_enum(span.kind, KINDS),
            start_ns=_fixed64(span.start_time_unix_nano),
            end_ns=_fixed64(span.end_time_unix_nano),
            status=status,
            error=_error(span, failed=status == ERROR),
            attributes=_attributes(span.attributes, wanted=wanted),
            service=service,
            version=version,
        )
    )


def _fixed64(number: int) -> int:
    """What protobuf's fixed64 can hold; JSON can hold more."""
    return min(max(number, 0), 2**64 - 1)


def _is_id(text: str, zeros: str) -> bool:
    return len(text) == len(zeros) and text != zeros and _HEX.issuperset(text)


def _enum(value: int | str | None, names: tuple[str, ...]) -> int:
    """Enums are numbers in OTLP; some senders write proto3's names (SPAN_KIND_SERVER, STATUS_CODE_ERROR)."""
    if isinstance(value, str):
        last = value.rpartition("_")[2].lower()
        return names.index(last) if last in names else 0
    return value if value is not None and 0 <= value < len(names) else 0


def _error(span: _Span, *, failed: bool) -> str:
    for event in reversed(span.events or []):
        if event.name == "exception":
            return error_text(_attributes(event.attributes))
    return (span.status.message or "")[:MAX_ERROR_TEXT] if failed and span.status else ""


def _attributes(pairs: list[_Pair] | None, *, wanted: Collection[str] | None = None) -> dict[str, str]:
    return {pair.key: _text(pair.value) for pair in pairs or [] if wanted is None or pair.key in wanted}


def _text(value: _Value | None) -> str:
    plain = _plain(value)
    if isinstance(plain, str):
        return plain
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return str(plain) if isinstance(plain, int | float) else msgspec.json.encode(plain).decode()


def _plain(value: _Value | None) -> object:
    if value is None:
        return None
    if value.array_value is not None:
        return [_plain(item) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    for plain in (value.string_value, value.bool_value, value.int_value, value.double_value, value.bytes_value):
        if plain is not None:
            return plain
    return None


def _add_points(batch: Batch, metric: _Metric, *, service: str) -> None:
    for points in (metric.gauge, metric.sum):
        for point in points.data_points if points else []:
            value = point.as_double if point.as_double is not None else point.as_int
            values = {metric.name: math.nan if value is None else float(value)}
            _add(batch, point, service=service, values=values)
    for points in (metric.histogram, metric.exponential_histogram, metric.summary):
        for point in points.data_points if points else []:
            values = {f"{metric.name}.count": float(point.count), f"{metric.name}.sum": point.sum}
            _add(batch, point, service=service, values=values)


def _add(batch: Batch, point: _Point, *, service: str, values: dict[str, float]) -> None:
    add_point(batch, service=service, time_ns=point.time_unix_nano, values=values, pairs=_attributes(point.attributes))
