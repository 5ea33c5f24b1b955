"""What the receiver keeps of a span or a metric point, whichever encoding it came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

#: opentelemetry.proto.trace.v1.Span.SpanKind
SERVER: Final = 2
KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
#: opentelemetry.proto.trace.v1.Status.StatusCode
STATUSES: Final = ("", "ok", "error")
ERROR: Final = 2

NO_SPAN: Final = "0" * 16
NO_TRACE: Final = "0" * 32
MAX_ERROR_TEXT: Final = 500


#: Attributes that service minutes are made of.
MINUTE_ATTRIBUTES: Final = (
    "http.route",
    "http.response.status_code",
    "http.status_code",
    "user_agent.original",
    "http.user_agent",
)


#: Names and versions of services come from outside, and every minute carries them.
MAX_SERVICE: Final = 256


def service_of(resource: Mapping[str, str]) -> tuple[str, str]:
    """(name, version) of the service that a resource's attributes describe."""
    name, version = resource.get("service.name") or "unknown_service", resource.get("service.version", "")
    return name[:MAX_SERVICE], version[:MAX_SERVICE]


class SpanData(msgspec.Struct, kw_only=True, gc=False, array_like=True):
    """A span as it arrived; times in nanoseconds since the epoch, IDs in hex, attribute values as text."""

    trace_id: str
    span_id: str
    parent_span_id: str
    trace_state: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    error: str
    attributes: dict[str, str]
    service: str
    version: str

    @property
    def http_status(self) -> int:
        text = self.attributes.get("http.response.status_code") or self.attributes.get("http.status_code") or ""
        return int(text) if text.isdigit() and len(text) == 3 else 0

    @property
    def failed(self) -> bool:
        return self.status == ERROR or self.http_status >= 500

    @property
    def route(self) -> str:
        """The route's template; span names of HTTP servers are "GET /route" by the semantic conventions."""
        known = self.attributes.get("http.route")
        if known:
            return known
        method, _, rest = self.name.partition(" ")
        return rest if rest and method.isupper() else self.name

    @property
    def user_agent(self) -> str:
        return self.attributes.get("user_agent.original") or self.attributes.get("http.user_agent") or ""


class PointData(msgspec.Struct, kw_only=True, gc=False):
    """One number of one metric at one time."""

    service: str
    name: str
    time_ns: int
    value: float
    attributes: dict[str, str]


class Batch(msgspec.Struct, kw_only=True):
    """What a request held: what we take, and how much we do not, by the closed list's word. `size` is its length in bytes."""

    spans: list[SpanData] = []
    points: list[PointData] = []
    rejected: dict[str, int] = {}
    size: int = 0

    def reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
