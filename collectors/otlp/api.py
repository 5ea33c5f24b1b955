"""POST /v1/traces and /v1/metrics: OTLP/HTTP with protobuf or JSON bodies, gzip, partial success (OTLP specification 1.x)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from fastapi import APIRouter, Depends, Request, Response
from google.rpc.code_pb2 import INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collectors.config import OtlpConfig
from collectors.metrics import OTLP_POINTS, OTLP_REQUESTS, OTLP_SPANS
from collectors.otlp import json_encoding, protobuf
from collectors.otlp.receiver import Receiver, reject_old
from collectors.otlp.signals import Batch
from collectors.push.api import read_body
from collectors.refusals import REASONS
from core.clock import Clock, now_ms
from core.errors import Invalid, Refusal
from core.principal import Authorize, Principal

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
#: The sender waits this long before it sends a refused batch again.
RETRY_AFTER_S: Final = 2
#: Requests that are decoded at the same time, and that may wait for it: bodies and what they unfold to are memory, too.
DECODING: Final = 2
WAITING: Final = 32

#: (plain body, attributes of spans that are wanted) -> what it holds.
_Decode = Callable[[bytes, Collection[str]], Batch]
_DECODERS: Final[dict[tuple[str, str], _Decode]] = {
    ("traces", PROTOBUF): lambda body, wanted: protobuf.decode_traces(body, wanted=wanted),
    ("traces", JSON): lambda body, wanted: json_encoding.decode_traces(body, wanted=wanted),
    ("metrics", PROTOBUF): lambda body, _wanted: protobuf.decode_metrics(body),
    ("metrics", JSON): lambda body, _wanted: json_encoding.decode_metrics(body),
}
_GRPC_CODES: Final = {503: UNAVAILABLE, 413: RESOURCE_EXHAUSTED}


def build_router(receiver: Receiver, *, authorize: Authorize, config: OtlpConfig, clock: Clock = now_ms) -> APIRouter:
    """The two OTLP endpoints; the receiver must be started by whoever built it."""
    router = APIRouter(tags=["otlp"])
    for signal in ("traces", "metrics"):
        _add(router, signal, receiver=receiver, authorized=authorize("ingest"), config=config, clock=clock)
    return router


def _add(
    router: APIRouter,
    signal: str,
    *,
    receiver: Receiver,
    authorized: Callable[..., Principal],
    config: OtlpConfig,
    clock: Clock,
) -> None:
    limiter = anyio.CapacityLimiter(DECODING)

    async def export(request: Request, _principal: Any = Depends(authorized)) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            body = await read_body(request, max_bytes=config.max_body_bytes)
            if receiver.full or limiter.statistics().tasks_waiting >= WAITING:
                raise _busy()
            encoding = request.headers.get("content-encoding", "")
            work = partial(
                take,
                signal,
                body,
                media_type=media_type,
                encoding=encoding,
                receiver=receiver,
                config=config,
                now=clock(),
            )
            rejected = await anyio.to_thread.run_sync(work, limiter=limiter)
        except Refusal as refusal:
            OTLP_REQUESTS.labels(signal, refusal.reason).inc()
            return _refused(refusal, media_type=media_type)
        OTLP_REQUESTS.labels(signal, "partial" if rejected else "accepted").inc()
        return _accepted(signal, rejected, media_type=media_type)

    router.add_api_route(f"/v1/{signal}", export, methods=["POST"], summary=f"OTLP/HTTP {signal}")


def take(
    signal: str, body: bytes, *, media_type: str, encoding: str, receiver: Receiver, config: OtlpConfig, now: int
) -> dict[str, int]:
    """Decode one request and queue what is good; answers what was rejected, by reason.

    Raises:
        Invalid: `unsupported_media_type` (415), `malformed` (400), `body_too_large` (413), `busy` (503).
    """
    if (signal, media_type) not in _DECODERS:
        raise Invalid("unsupported_media_type", f"Content-Type: send {PROTOBUF} or {JSON}", status=415)
    plain = decompress(body, encoding=encoding, max_bytes=config.max_decompressed_bytes)
    batch = _DECODERS[signal, media_type](plain, receiver.wanted)
    batch.size = len(plain)
    batch.spans = reject_old(batch.spans, now=now, max_age_s=config.max_age_s, batch=batch)
    if (batch.spans or batch.points) and not receiver.offer(batch):
        raise _busy()
    counter = OTLP_SPANS if signal == "traces" else OTLP_POINTS
    for reason, count in batch.rejected.items():
        counter.labels(reason).inc(count)
    return batch.rejected


def _busy() -> Invalid:
    return Invalid("busy", f"the queue is full; try again in {RETRY_AFTER_S} s", status=503)


def decompress(body: bytes, *, encoding: str, max_bytes: int) -> bytes:
    """The body as it was before compression; never more than `max_bytes`, however small it was sent."""
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding != "gzip":
        raise Invalid("unsupported_media_type", f"Content-Encoding {coding[:32]}: send gzip or none", status=415)
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, max_bytes)
    except zlib.error as error:
        raise Invalid("malformed", f"the body is not gzip: {error}", status=400) from None
    if stream.unconsumed_tail:
        raise Invalid("body_too_large", f"more than {max_bytes} bytes after gunzip: send smaller batches", status=413)
    if not stream.eof:
        raise Invalid("malformed", "the gzip stream ends early", status=400)
    return plain


def _accepted(signal: str, rejected: dict[str, int], *, media_type: str) -> Response:
    count = sum(rejected.values())
    message = "; ".join(f"{reason}: {REASONS[reason]}" for reason in sorted(rejected))
    key = "rejectedSpans" if signal == "traces" else "rejectedDataPoints"
    if media_type == JSON:
        # int64 is a string in proto3 JSON.
        partial = {"partialSuccess": {key: str(count), "errorMessage": message}} if count else {}
        return Response(msgspec.json.encode(partial), media_type=JSON)
    answer: Any = ExportTraceServiceResponse() if signal == "traces" else ExportMetricsServiceResponse()
    if count:
        answer.partial_success.error_message = message
        if signal == "traces":
            answer.partial_success.rejected_spans = count
        else:
            answer.partial_success.rejected_data_points = count
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def _refused(refusal: Refusal, *, media_type: str) -> Response:
    """Errors are a google.rpc.Status in the request's own encoding (OTLP/HTTP, "Failures")."""
    code = _GRPC_CODES.get(refusal.status, INVALID_ARGUMENT)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 503 else None
    if media_type == PROTOBUF:
        content: bytes = Status(code=code, message=str(refusal)).SerializeToString()
        return Response(content, status_code=refusal.status, media_type=PROTOBUF, headers=headers)
    body = msgspec.json.encode({"code": code, "message": str(refusal), "reason": refusal.reason})
    return Response(body, status_code=refusal.status, media_type=JSON, headers=headers)
