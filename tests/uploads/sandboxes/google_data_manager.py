"""Google's Data Manager API on the wire: the token endpoint, `events:ingest` and `requestStatus:retrieve`.

Field names and enumerations are those of `google.ads.datamanager.v1` (the client package's own types: Event, AdIdentifiers, Destination,
IngestEventsRequest, ErrorReason, ProcessingErrorReason); behaviour by "Send events", "Diagnostics", "Understand API errors" and "Field
mappings" ("doesn't support partial failure. If any field … fails validation, … rejects the entire request").
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.jwt import decode as decode_assertion

from core.clock import parse_rfc3339
from tests.collectors.sandboxes.base import Answer, Request, Sandbox, bearer

SCOPE = "https://www.googleapis.com/auth/datamanager"
#: What the client library writes as audience, whatever the token_uri.
AUDIENCE = "https://oauth2.googleapis.com/token"
REQUEST_FIELDS = {"destinations", "events", "consent", "validateOnly", "encoding", "encryptionInfo"}
EVENT_FIELDS = {
    "destinationReferences", "transactionId", "eventTimestamp", "lastUpdatedTimestamp", "userData", "consent", "adIdentifiers", "currency",
    "conversionValue", "conversionCount", "eventSource", "eventDeviceInfo", "cartData", "customVariables", "experimentalFields",
    "userProperties", "eventName", "clientId", "userId", "additionalEventParameters", "thirdPartyUserData", "eventLocation", "appInstanceId",
}  # fmt: skip
AD_IDENTIFIERS = {"sessionAttributes", "gclid", "gbraid", "wbraid", "landingPageDeviceInfo", "mobileDeviceId", "dclid"}
SOURCES = {"WEB", "APP", "IN_STORE", "PHONE", "MESSAGE", "OTHER"}
CONSENTS = {"CONSENT_GRANTED", "CONSENT_DENIED", "CONSENT_STATUS_UNSPECIFIED"}
MAX_EVENTS = 2_000


class DataManagerSandbox(Sandbox):
    """`counted` is what the conversion actions show: (action, transaction ID) -> the event that counts."""

    def __init__(
        self, directory: Path, *, account: str = "1234567890", actions: tuple[str, ...] = ("7001",), **more: Any
    ) -> None:
        super().__init__(**more)
        self.account = account
        self.actions = actions
        self.credentials_file = directory / "service-account.json"
        self.counted: dict[tuple[str, str], dict[str, Any]] = {}
        self.batches: list[list[dict[str, Any]]] = []
        self.repeated: Counter[str] = Counter()
        #: Answered questions before a request is through.
        self.slowness = 0
        #: Requests of which everything is done and nothing answered.
        self.lose_answers = 0
        #: Transaction IDs that processing refuses, with the reason.
        self.bad: dict[str, str] = {}
        #: Names the places of invalid events; False only says that something is wrong.
        self.names_events = True
        self._status: dict[str, dict[str, Any]] = {}
        self._asked: Counter[str] = Counter()
        self._tokens: set[str] = set()
        self._key = new_key()
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        super().start()
        self.write_credentials()

    def write_credentials(self, key: rsa.RSAPrivateKey | None = None) -> None:
        private = (key or self._key).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "project_id": "sandbox",
            "private_key_id": "sandbox-key",
            "private_key": private.decode(),
            "client_email": "uploads@sandbox.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.endpoint}/token",
        }
        self.credentials_file.write_text(json.dumps(content))

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    # --- the API -----------------------------------------------------------------------------------------------------------------

    def misbehaves(self, request: Request) -> bool:
        return request.path != "/token"

    def quota_answer(self, request: Request) -> Answer:
        answer = failure(429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric.")
        wait = {"retry-after": str(round(self.behaviour.retry_after_s))} if self.behaviour.retry_after_s else {}
        return Answer(status=429, body=answer.body, headers=wait)

    def error_answer(self, request: Request) -> Answer:
        return failure(500, "INTERNAL", "INTERNAL_ERROR", "An internal error has occurred.")

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/token"):
            return self._token(request)
        if bearer(request.headers) not in self._tokens:
            return failure(
                401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "Invalid authentication credentials."
            )
        with self.lock:
            if (request.method, request.path) == ("POST", "/v1/events:ingest"):
                return self._ingest(request.json)
            if (request.method, request.path) == ("GET", "/v1/requestStatus:retrieve"):
                return self._retrieve(request.query.get("requestId", ""))
        return failure(404, "NOT_FOUND", "NOT_FOUND", "Method not found.")

    def _token(self, request: Request) -> Answer:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            claims = decode_assertion(request.form["assertion"], certs=public, audience=AUDIENCE)
        except ValueError:
            return Answer(status=400, body={"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if claims["scope"] != SCOPE:
            return Answer(status=400, body={"error": "invalid_scope"})
        token = f"ya29.{secrets.token_urlsafe(16)}"
        self._tokens.add(token)
        return Answer(body={"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def _ingest(self, body: dict[str, Any]) -> Answer:
        violations = [*self._destination_violations(body)] or [*self._event_violations(body.get("events", []))]
        unknown = set(body) - REQUEST_FIELDS
        if unknown or violations:
            return invalid(violations if self.names_events else [], message=f"Invalid JSON payload: {unknown or ''}")
        if body.get("validateOnly"):
            return Answer(body={})
        identifier = secrets.token_hex(8)
        target = body["destinations"][0]["productDestinationId"]
        self.batches.append(body["events"])
        self._status[identifier] = self._process(target, body["events"], body["destinations"][0])
        if self.lose_answers:
            self.lose_answers -= 1
            return self.error_answer(Request(method="", path="", query={}, pairs=[], headers={}, body=b""))
        return Answer(body={"requestId": identifier})

    def _destination_violations(self, body: dict[str, Any]) -> list[dict[str, str]]:
        found = []
        for place, destination in enumerate(body.get("destinations", [])):
            account = destination.get("operatingAccount", {})
            if account != {"accountType": "GOOGLE_ADS", "accountId": self.account}:
                found.append(violation(f"destinations[{place}].operating_account", "INVALID_DESTINATION"))
            if destination.get("productDestinationId") not in self.actions:
                found.append(violation(f"destinations[{place}].product_destination_id", "INVALID_CONVERSION_ACTION_ID"))
        return found if body.get("destinations") else [violation("destinations", "REQUIRED_FIELD_MISSING")]

    def _event_violations(self, events: list[dict[str, Any]]) -> list[dict[str, str]]:
        if not 0 < len(events) <= MAX_EVENTS:
            return [violation("events", "TOO_MANY_EVENTS")]
        return [found for place, event in enumerate(events) for found in event_violations(f"events[{place}]", event)]

    def _process(self, target: str, events: list[dict[str, Any]], destination: dict[str, Any]) -> dict[str, Any]:
        failed: Counter[str] = Counter()
        for event in events:
            key = (target, event["transactionId"])
            if event["transactionId"] in self.bad:
                failed[f"PROCESSING_ERROR_REASON_{self.bad[event['transactionId']]}"] += 1
            elif key in self.counted:
                failed["PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID"] += 1
                self.repeated[event["transactionId"]] += 1
            else:
                self.counted[key] = event
        total = sum(failed.values())
        word = "SUCCESS" if not total else "FAILED" if total == len(events) else "PARTIAL_SUCCESS"
        status: dict[str, Any] = {
            "destination": destination,
            "requestStatus": word,
            "eventsIngestionStatus": {"recordCount": str(len(events))},
        }
        if failed:
            counts = [{"recordCount": str(count), "reason": reason} for reason, count in failed.items()]
            status["errorInfo"] = {"errorCounts": counts}
        return status

    def _retrieve(self, identifier: str) -> Answer:
        if identifier not in self._status:
            return failure(400, "INVALID_ARGUMENT", "INVALID_REQUEST_ID", "The request ID is not valid.")
        status = self._status[identifier]
        self._asked[identifier] += 1
        if self._asked[identifier] <= self.slowness:
            status = {"destination": status["destination"], "requestStatus": "PROCESSING"}
        return Answer(body={"requestStatusPerDestination": [status]})


@cache
def new_key() -> rsa.RSAPrivateKey:
    """One for all sandboxes of a process: making one takes a third of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def event_violations(where: str, event: dict[str, Any]) -> list[dict[str, str]]:
    identifiers = event.get("adIdentifiers", {})
    found = [violation(f"{where}.{name}", "INVALID_FORMAT") for name in sorted(set(event) - EVENT_FIELDS)]
    if not identifiers or set(identifiers) - AD_IDENTIFIERS:
        found.append(violation(f"{where}.ad_identifiers", "NO_IDENTIFIERS_PROVIDED"))
    if event.get("eventSource", "WEB") not in SOURCES:
        found.append(violation(f"{where}.event_source", "INVALID_ENUM_VALUE"))
    if not set(event.get("consent", {}).values()) <= CONSENTS:
        found.append(violation(f"{where}.consent", "INVALID_ENUM_VALUE"))
    if "currency" in event and len(event["currency"]) != 3:
        found.append(violation(f"{where}.currency", "INVALID_CURRENCY_CODE"))
    if not isinstance(event.get("conversionValue", 0.0), int | float) or event.get("conversionValue", 0) < 0:
        found.append(violation(f"{where}.conversion_value", "INVALID_NUMBER_FORMAT"))
    try:
        parse_rfc3339(event["eventTimestamp"])
    except (KeyError, ValueError):
        found.append(violation(f"{where}.event_timestamp", "REQUIRED_FIELD_MISSING"))
    return found


def violation(field: str, reason: str) -> dict[str, str]:
    return {"field": field, "description": "See the documentation of this field.", "reason": reason}


def invalid(violations: list[dict[str, str]], *, message: str) -> Answer:
    details = (
        [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}] if violations else []
    )
    return failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message, details=details)


def failure(status: int, word: str, reason: str, message: str, details: list[dict[str, Any]] | None = None) -> Answer:
    """Google's error model: error.code, status, message, details."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "datamanager.googleapis.com",
    }
    request = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "t-0"}
    error = {"code": status, "message": message, "status": word, "details": [info, request, *(details or [])]}
    return Answer(status=status, body={"error": error})
