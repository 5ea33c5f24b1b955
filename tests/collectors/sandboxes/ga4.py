"""A GA4 property on the wire: the token endpoint and `properties.runReport` of the Data API (v1beta).

Shapes by the REST reference (`RunReportRequest`, `RunReportResponse`, `ResponseMetaData`, `PropertyQuota`), checked against the types of the
package google-analytics-data 0.23.3; quota and its words by "Data API limits and quotas". A report counts what the world put into
`visits`, in the property's time zone, and shows it late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from app.demo.ad_account import Behaviour
from app.demo.google_tokens import TokenIssuer
from core.clock import HOUR_MS, to_datetime
from core.records import Record, Tally
from tests.collectors.sandboxes.base import Answer, Request, Sandbox
from tests.collectors.sandboxes.cases import Case

NOT_SET = "(not set)"
DIMENSIONS = {
    "date", "dateHour", "deviceCategory", "eventName",
    "sessionGoogleAdsCustomerId", "sessionGoogleAdsCampaignId", "sessionManualCampaignId",
}  # fmt: skip
METRICS = {"sessions", "keyEvents", "totalRevenue"}
MAX_LIMIT = 250_000


class Visit(msgspec.Struct, kw_only=True):
    """`sessions` that began at `ts` (ms), and `key_events` of a name in them."""

    ts: int
    sessions: int = 1
    event: str = "page_view"
    key_events: float = 0
    revenue: float = 0.0
    device: str = "mobile"
    customer: str = NOT_SET
    campaign: str = NOT_SET
    utm_id: str = NOT_SET


class Ga4Sandbox(Sandbox):
    """One property. `tokens_left` is what is left of each bucket; every report takes `cost` from all."""

    def __init__(
        self, directory: Path, *, property: str = "1234", timezone: str = "UTC", currency: str = "USD", **more: Any
    ) -> None:
        super().__init__(**more)
        self.property = property
        self.zone = ZoneInfo(timezone)
        self.currency = currency
        self.issuer = TokenIssuer(directory / "service-account.json")
        self.visits: list[Visit] = []
        self.cost = 8
        self.tokens_left = {"tokensPerDay": 200_000, "tokensPerHour": 40_000, "tokensPerProjectPerHour": 14_000}
        self.metadata: dict[str, Any] = {}
        #: Applied to every row of an answer before it leaves.
        self.spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row

    def start(self) -> None:
        self.issuer.write(token_uri=f"{self.endpoint}/token")
        super().start()

    def misbehaves(self, request: Request) -> bool:
        return request.path != "/token"

    def quota_answer(self, request: Request) -> Answer:
        text = "Exhausted property tokens per hour. These quota tokens will return in under 1 hour."
        return refusal(429, "RESOURCE_EXHAUSTED", text)

    def error_answer(self, request: Request) -> Answer:
        return refusal(500, "INTERNAL", "Internal error encountered.")

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/token"):
            status, body = self.issuer.answer(request.body)
            return Answer(status=status, body=body)
        if not self.issuer.accepts(request.headers.get("authorization", "")):
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if (request.method, request.path) != ("POST", f"/v1beta/properties/{self.property}:runReport"):
            text = "User does not have sufficient permissions for this property."
            return refusal(403, "PERMISSION_DENIED", text)
        with self.lock:
            return self._report(request.json)

    def _report(self, body: dict[str, Any]) -> Answer:
        dimensions = [each["name"] for each in body.get("dimensions", [])]
        metrics = [each["name"] for each in body["metrics"]]
        unknown = [*(set(dimensions) - DIMENSIONS), *(set(metrics) - METRICS)]
        limit, offset = int(body.get("limit", 10_000)), int(body.get("offset", 0))
        if unknown or not 0 < limit <= MAX_LIMIT or len(dimensions) > 9:
            return refusal(400, "INVALID_ARGUMENT", f"Field {unknown} is not valid, or the limit is not.")
        if empty := [name for name, left in self.tokens_left.items() if left < self.cost]:
            return refusal(429, "RESOURCE_EXHAUSTED", _exhausted(empty[0]))
        self.tokens_left = {name: left - self.cost for name, left in self.tokens_left.items()}
        rows = self._rows(body, dimensions, metrics)
        page = [self.spoil(row) for row in rows[offset : offset + limit]]
        answer: dict[str, Any] = {
            "dimensionHeaders": [{"name": name} for name in dimensions],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            "rows": page,
            "rowCount": len(rows),
            "metadata": {"currencyCode": self.currency, "timeZone": str(self.zone), **self.metadata},
            "kind": "analyticsData#runReport",
        }
        if body.get("returnPropertyQuota"):
            quota = {name: {"consumed": self.cost, "remaining": left} for name, left in self.tokens_left.items()}
            answer["propertyQuota"] = quota | {"concurrentRequests": {"remaining": 10}}
        return Answer(body={name: value for name, value in answer.items() if value not in ([], 0)})

    def _rows(self, body: dict[str, Any], dimensions: list[str], metrics: list[str]) -> list[dict[str, Any]]:
        (span,) = body["dateRanges"]
        today = f"{to_datetime(self.clock()).astimezone(self.zone):%Y-%m-%d}"
        since, until = (today if span[edge] == "today" else span[edge] for edge in ("startDate", "endDate"))
        shown_until = self.clock() - self.behaviour.report_lag_s * 1000
        sums: dict[tuple[str, ...], dict[str, float]] = {}
        for visit in self.visits:
            local = to_datetime(visit.ts).astimezone(self.zone)
            if visit.ts > shown_until or not since <= f"{local:%Y-%m-%d}" <= until:
                continue
            about = tuple(_dimension(name, visit, local) for name in dimensions)
            total = sums.setdefault(about, dict.fromkeys(METRICS, 0.0))
            total["sessions"] += visit.sessions
            total["keyEvents"] += visit.key_events
            total["totalRevenue"] += visit.revenue
        positive = body.get("metricFilter", {}).get("filter", {}).get("fieldName")
        return [
            {
                "dimensionValues": [{"value": value} for value in about],
                "metricValues": [{"value": f"{total[name]:g}"} for name in metrics],
            }
            for about, total in sorted(sums.items())
            if any(total[name] for name in metrics) and (positive is None or total[positive] > 0)
        ]


def refusal(code: int, status: str, message: str) -> Answer:
    return Answer(status=code, body={"error": {"code": code, "message": message, "status": status}})


def _exhausted(bucket: str) -> str:
    if bucket == "tokensPerDay":
        return "Exhausted property tokens per day. These quota tokens will return in under 24 hours."
    return "Exhausted property tokens for a project per hour."


def _dimension(name: str, visit: Visit, local: datetime) -> str:
    values = {
        "date": f"{local:%Y%m%d}",
        "dateHour": f"{local:%Y%m%d%H}",
        "deviceCategory": visit.device,
        "eventName": visit.event,
        "sessionGoogleAdsCustomerId": visit.customer,
        "sessionGoogleAdsCampaignId": visit.campaign,
        "sessionManualCampaignId": visit.utm_id,
    }
    return values[name]


class Ga4Case(Case):
    """A number is that many key events called `event <number>`; sessions are counted beside them and left alone here."""

    section = "ga4"
    lag_s = 4 * 3600
    restates = True

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self.sandbox = Ga4Sandbox(
            directory, clock=clock, timezone="Europe/Berlin", behaviour=Behaviour(report_lag_s=self.lag_s)
        )

    def settings(self) -> dict[str, Any]:
        credentials = str(self.sandbox.issuer.credentials_file)
        return {
            "connections": [
                {
                    "name": "shop",
                    "client": "acme",
                    "property": self.sandbox.property,
                    "endpoint": self.endpoint,
                    "credentials_file": credentials,
                }
            ]
        }

    def add(self, number: int, *, ts: int) -> None:
        self.sandbox.visits.append(Visit(ts=ts, event=f"event {number}", key_events=1))

    def seen(self, records: Sequence[Record]) -> list[int]:
        events = [record.name for record in records if isinstance(record, Tally) and record.name != "session"]
        return [int(name.split()[1]) for name in events]

    def restate(self, number: int) -> None:
        self.sandbox.visits.append(
            Visit(ts=self.clock() - 4 * HOUR_MS, sessions=0, event=f"event {number}", key_events=2)
        )

    def lock_out(self) -> None:
        file = self.sandbox.issuer.credentials_file
        self._credentials = file.read_bytes()
        file.write_text("{}")

    def let_in(self) -> None:
        self.sandbox.issuer.credentials_file.write_bytes(self._credentials)
