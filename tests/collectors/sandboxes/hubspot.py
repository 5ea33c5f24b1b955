"""HubSpot on the wire: search, batch reads and associations of its CRM, with their limits and error objects, and signed webhooks.

POST /crm/v3/objects/{contacts|deals}/search            POST /crm/v3/objects/{contacts|deals}/batch/read
POST /crm/v4/associations/deals/contacts/batch/read

Shapes by developers.hubspot.com ("Search the CRM", "Associations v4", "Webhooks", "Validating requests", "Error handling"; Nov 2026):
10,000 results to a query, 200 to a page, five searches a second, properties that do not exist are left out, webhook events in batches.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from core.clock import to_datetime
from tests.collectors.sandboxes.base import Answer, Request, bearer
from tests.collectors.sandboxes.tokens import TokenCase, TokenSandbox

Json = dict[str, Any]
MAX_RESULTS = 10_000
MAX_PAGE = 200
SEARCHES_PER_SECOND = 5
DAILY_CALLS = 250_000
MODIFIED = {"contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
OPERATORS: Final[dict[str, Callable[[int, int], bool]]] = {
    "GTE": lambda ours, asked: ours >= asked,
    "LT": lambda ours, asked: ours < asked,
    "GT": lambda ours, asked: ours > asked,
}


class HubspotSandbox(TokenSandbox):
    """One portal. `scopes` are what the private app may read."""

    token_prefix = "pat-eu1-"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scopes = {"contacts", "deals"}
        self.portal = 62515
        self.calls_today = 0
        #: Whether the sixth search in a second is refused; tests of other things are not kept waiting.
        self.limits_searches = False
        #: Refuse this many of the next searches, as if somebody else used the budget up.
        self.searches_to_refuse = 0
        #: Results that one query has at the most.
        self.max_results = MAX_RESULTS
        self.objects: dict[str, dict[str, Json]] = {"contacts": {}, "deals": {}}
        self.contacts_of: dict[str, list[str]] = {}
        self._searches: deque[float] = deque(maxlen=SEARCHES_PER_SECOND)
        self._made = 100

    # --- what happens in the portal ---------------------------------------------------------------------------------------------

    def contact(self, *, ts: int | None = None, **properties: str) -> str:
        """A new contact; the ID it got. `ts` in ms."""
        return self._create("contacts", ts, {"lifecyclestage": "lead", "hs_object_source": "FORM"} | properties)

    def deal(self, *contacts: str, ts: int | None = None, **properties: str) -> str:
        """A new deal of these contacts; the ID it got."""
        stage = {
            "dealstage": "appointmentscheduled",
            "pipeline": "default",
            "hs_is_closed": "false",
            "hs_is_closed_won": "false",
        }
        identifier = self._create("deals", ts, stage | properties)
        self.contacts_of[identifier] = list(contacts)
        return identifier

    def change(self, kind: str, identifier: str, *, ts: int | None = None, **properties: str) -> None:
        with self.lock:
            found = self.objects[kind][identifier]
            found["properties"] |= properties
            found["modified"] = self.clock() if ts is None else ts

    def forget(self, kind: str, identifier: str) -> None:
        with self.lock:
            del self.objects[kind][identifier]

    def sign(self, method: str, url: str, body: bytes, *, at: int | None = None, secret: str = "") -> dict[str, str]:
        """The headers of a call at `at` (ms); `url` as HubSpot writes it before signing, that is decoded."""
        sent = str(self.clock() if at is None else at)
        signed = f"{method}{url}".encode() + body + sent.encode()
        digest = hmac.new((secret or self.secret).encode(), signed, hashlib.sha256).digest()
        return {
            "x-hubspot-signature-v3": base64.b64encode(digest).decode(),
            "x-hubspot-request-timestamp": sent,
            "content-type": "application/json",
        }

    def events(self, *happened: tuple[str, str], **fields: Any) -> bytes:
        """The body of a webhook call: (subscription type, object ID) of each event."""
        return json.dumps(
            [
                {
                    "eventId": 3_029_365_631 + at,
                    "subscriptionId": 686_627,
                    "portalId": self.portal,
                    "appId": 7_906_213,
                    "occurredAt": self.clock(),
                    "subscriptionType": subscription,
                    "attemptNumber": 0,
                    "objectId": int(identifier),
                    "changeSource": "CRM_UI",
                    "sourceId": "userId:882761034",
                }
                | fields
                for at, (subscription, identifier) in enumerate(happened)
            ]
        ).encode()

    def _create(self, kind: str, ts: int | None, properties: dict[str, str]) -> str:
        at = self.clock() if ts is None else ts
        with self.lock:
            # IDs do not grow in steps of one, and not with time: what came first may have the higher ID.
            self._made += 1
            identifier = str(self._made * 7919 % 1_000_003 + 1_000)
            self.objects[kind][identifier] = {
                "created": at,
                "modified": at,
                "properties": {"createdate": _rfc3339(at), **properties},
            }
        return identifier

    # --- the API ----------------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        if bearer(request.headers) != self.token:
            said = "Authentication credentials not found. This API supports OAuth 2.0 authentication"
            return _error(401, said, category="INVALID_AUTHENTICATION")
        parts = request.path.strip("/").split("/")
        if request.method != "POST" or parts[0] != "crm":
            return _error(404, "resource not found", category="OBJECT_NOT_FOUND")
        kind, action = (parts[3], "associations") if parts[2] == "associations" else (parts[3], "/".join(parts[4:]))
        if kind not in self.scopes:
            said = "This app hasn't been granted all required scopes to make this call."
            return _error(403, said, category="MISSING_SCOPES")
        with self.lock:
            self.calls_today += 1
            if action == "search":
                return self._search(kind, request)
            answer = self._batch(kind, request) if action == "batch/read" else self._associations(request)
        return Answer(status=answer.status, body=answer.body, headers=self._budget())

    def quota_answer(self, request: Request) -> Answer:
        wait = {"retry-after": str(round(self.behaviour.retry_after_s))} if self.behaviour.retry_after_s else {}
        answer = _rate_limited("You have reached your daily limit.", policy="DAILY")
        return Answer(status=429, body=answer.body, headers=wait)

    def error_answer(self, request: Request) -> Answer:
        return _error(500, "internal error", category="INTERNAL_ERROR")

    def _budget(self) -> dict[str, str]:
        """Searches do not have these headers."""
        return {
            "x-hubspot-ratelimit-daily": str(DAILY_CALLS),
            "x-hubspot-ratelimit-daily-remaining": str(DAILY_CALLS - self.calls_today),
            "x-hubspot-ratelimit-interval-milliseconds": "10000",
            "x-hubspot-ratelimit-max": "100",
            "x-hubspot-ratelimit-remaining": "99",
        }

    def _search(self, kind: str, request: Request) -> Answer:
        if self._too_fast():
            return _rate_limited("You have reached your secondly limit.", policy="SECONDLY")
        asked = request.json
        limit, after = int(asked.get("limit", 10)), int(asked.get("after", 0))
        if limit > MAX_PAGE:
            return _error(400, f"limit must be at most {MAX_PAGE}", category="VALIDATION_ERROR")
        if after + limit > self.max_results:
            return _error(400, "The request is beyond the limit of 10000 results", category="VALIDATION_ERROR")
        groups = [group["filters"] for group in asked["filterGroups"]]
        if len(groups) > 5 or any(len(filters) > 6 for filters in groups):
            return _error(400, "Too many filters", category="VALIDATION_ERROR")
        rows = [(int(key), key) for key in self.objects[kind] if any(self._fits(kind, key, each) for each in groups)]
        (sort,) = asked["sorts"]
        assert sort == {"propertyName": "hs_object_id", "direction": "ASCENDING"}, "the only order this sandbox has"
        ids = [key for _, key in sorted(rows)]
        size = min(limit, self.behaviour.page_size)
        body: Json = {"total": len(ids), "results": self._shown(kind, ids[after : after + size], asked["properties"])}
        if after + size < len(ids):
            body["paging"] = {"next": {"after": str(after + size), "link": "?after="}}
        return Answer(body=body)

    def _too_fast(self) -> bool:
        if self.searches_to_refuse:
            self.searches_to_refuse -= 1
            return True
        now = time.monotonic()
        full = len(self._searches) == SEARCHES_PER_SECOND and now - self._searches[0] < 1.0
        if not full or not self.limits_searches:
            self._searches.append(now)
        return full and self.limits_searches

    def _fits(self, kind: str, identifier: str, filters: Sequence[Json]) -> bool:
        found = self.objects[kind][identifier]
        values = {"createdate": found["created"], MODIFIED[kind]: found["modified"], "hs_object_id": int(identifier)}
        # The index of the search is behind by this much.
        indexed = found["modified"] <= self.clock() - self.behaviour.report_lag_s * 1000
        return indexed and all(
            OPERATORS[each["operator"]](values[each["propertyName"]], int(each["value"])) for each in filters
        )

    def _batch(self, kind: str, request: Request) -> Answer:
        asked = request.json
        ids = [each["id"] for each in asked["inputs"]]
        if len(ids) > 100:
            return _error(
                400, "The maximum number of inputs supported in a batch request is 100", category="VALIDATION_ERROR"
            )
        there = [identifier for identifier in ids if identifier in self.objects[kind]]
        body: Json = {"status": "COMPLETE", "results": self._shown(kind, there, asked["properties"])}
        if len(there) == len(ids):
            return Answer(body=body)
        gone = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some objects",
            "context": {"ids": ids},
        }
        return Answer(status=207, body=body | {"numErrors": 1, "errors": [gone]})

    def _associations(self, request: Request) -> Answer:
        kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
        results = [
            {
                "from": {"id": each["id"]},
                "to": [{"toObjectId": int(to), "associationTypes": kinds} for to in self.contacts_of[each["id"]]],
            }
            for each in request.json["inputs"]
            if self.contacts_of.get(each["id"])
        ]
        return Answer(body={"status": "COMPLETE", "results": results})

    def _shown(self, kind: str, identifiers: Iterable[str], asked: Sequence[str]) -> list[Json]:
        shown = []
        for identifier in identifiers:
            found = self.objects[kind][identifier]
            always = {"hs_object_id": identifier, MODIFIED[kind]: _rfc3339(found["modified"])}
            values = {name: found["properties"].get(name) for name in asked if name not in ("ct_vid", "twclid")}
            shown.append(
                {
                    "id": identifier,
                    "properties": values | always,
                    "createdAt": _rfc3339(found["created"]),
                    "updatedAt": _rfc3339(found["modified"]),
                    "archived": False,
                }
            )
        return shown


def _rfc3339(ms: int) -> str:
    return to_datetime(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, message: str, *, category: str) -> Answer:
    body = {"status": "error", "message": message, "correlationId": secrets.token_hex(16), "category": category}
    return Answer(status=status, body=body)


def _rate_limited(message: str, *, policy: str) -> Answer:
    body = {
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "correlationId": secrets.token_hex(16),
        "policyName": policy,
    }
    return Answer(status=429, body=body)


class HubspotCase(TokenCase):
    """For the suite over all sources: a contact with a number is created."""

    section = "hubspot"
    lag_s = 300
    restates = True
    make = HubspotSandbox

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self._numbers: dict[str, int] = {}

    def settings(self) -> dict[str, Any]:
        return {
            "searches_per_second": 1_000,
            "connections": [self.sandbox.connection(name="sales", currency="EUR")],
        }

    def add(self, number: int, *, ts: int) -> None:
        self._numbers[self.sandbox.contact(ts=ts, order_id=f"o-{number}")] = number

    def restate(self, number: int) -> None:
        (identifier,) = [key for key, value in self._numbers.items() if value == number]
        self.sandbox.change("contacts", identifier, lifecyclestage="customer")
