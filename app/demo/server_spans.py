"""Server spans of the demo shop: what an OpenTelemetry instrumentation of a web framework does, with the SDK alone.

One process plays the two services of the shop, so each has its own tracer provider; a deploy makes a new one with the new version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

Scope = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]

EXPORT_EVERY_MS = 1_000
FIRST_SERVER_ERROR = 500


class Tracers:
    """The tracer of every service at its current version; all of them export through one batch processor."""

    def __init__(self, endpoint: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint}/v1/traces", headers=headers, compression=Compression.Gzip, timeout=5
        )
        self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_EVERY_MS)
        self._tracers: dict[str, Tracer] = {}

    def deploy(self, service: str, version: str) -> None:
        provider = TracerProvider(
            resource=Resource(
                {"service.name": service, "service.version": version, "deployment.environment.name": "demo"}
            ),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._tracers[service] = provider.get_tracer("demo.shop")

    def of(self, service: str) -> Tracer:
        return self._tracers[service]

    def flush(self) -> None:
        self._processor.force_flush(3_000)


class ServerSpanMiddleware:
    """One server span a request, under the semantic conventions for HTTP. `service_of` names the service by path, or None."""

    def __init__(self, app: App, *, tracers: Tracers, service_of: Callable[[Scope], str | None]) -> None:
        self.app = app
        self._tracers = tracers
        self._service_of = service_of

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        service = self._service_of(scope) if scope["type"] == "http" else None
        if service is None:
            await self.app(scope, receive, send)
            return
        status = 500

        async def send_noting_status(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span = self._tracers.of(service).start_span(
            scope["method"], kind=SpanKind.SERVER, attributes=request_attributes(scope)
        )
        token = attach(set_span_in_context(span))
        try:
            await self.app(scope, receive, send_noting_status)
        except Exception as error:  # noted on the span whatever it is, and raised again
            span.record_exception(error)
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise
        finally:
            detach(token)
            route = getattr(scope.get("route"), "path", "")
            span.set_attribute("http.response.status_code", status)
            if route:
                span.set_attribute("http.route", route)
                span.update_name(f"{scope['method']} {route}")
            if status >= FIRST_SERVER_ERROR and span.is_recording():
                span.set_attribute("error.type", span_error_type(span, status))
            span.end()


def span_error_type(span: Any, status: int) -> str:
    """The exception's type when there was one, else the status code, as the conventions say."""
    return str(span.attributes.get("error.type", status))


def request_attributes(scope: Scope) -> dict[str, str | int]:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    attributes: dict[str, str | int] = {
        "http.request.method": scope["method"],
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
        "server.address": host.partition(":")[0],
        "user_agent.original": headers.get(b"user-agent", b"").decode("latin-1"),
    }
    if query:
        attributes["url.query"] = query
    return attributes
