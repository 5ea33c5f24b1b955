"""Google Ads conversions by `events.ingest` of the Data Manager API (README.md beside this file)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar, Final

import httpx
import msgspec

from core.clock import DAY_MS, now_ms, to_rfc3339
from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, retry_after_s
from core.money import MICROS
from core.retry import RetryPolicy
from core.vendors.google_sign_in import ServiceAccount
from uploads.base import Event, Outcome, Receipt, Refused
from uploads.decisions import GIVEN, consent
from uploads.google_data_manager.answers import (
    ErrorBody,
    RequestStatus,
    Taken,
    events_at_fault,
    names_request,
    outcome_of,
    words_of,
)
from uploads.google_data_manager.config import GoogleDataManagerConnection

ENDPOINT: Final = "https://datamanager.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/datamanager"
_SOURCES: Final = {"offline": "OTHER", "crm": "OTHER"}


class _InvalidEvents(Permanent):
    """The answer names events of the request, or the request it is asked about."""

    def __init__(self, source: str, detail: str, *, events: dict[int, str]) -> None:
        self.events = events
        super().__init__(source, detail)


class GoogleDataManager:
    """`uploads.base.Destination` for one Google Ads account."""

    kind: ClassVar[str] = "google_data_manager"
    platform: ClassVar[str] = "google"
    id_names: ClassVar[tuple[str, ...]] = ("gclid", "wbraid", "gbraid")
    #: The transaction ID of a conversion action is never counted twice.
    recognised_ms: ClassVar[int | None] = None

    def __init__(self, connection: GoogleDataManagerConnection) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.config = connection
        self._source = f"{self.kind}:{connection.name}"
        self._account = ServiceAccount(self._source, connection.credentials_file, scope=SCOPE)

    @property
    def account(self) -> str:
        return self.config.account

    @property
    def reported_to(self) -> str:
        return f"{self.kind}:{self.config.account}"

    def objection(self, event: Event, *, now: int) -> str:
        window = self.config.click_window_days * DAY_MS
        if event.candidate.click_ts and event.ts - event.candidate.click_ts > window:
            return "click_too_old"
        return "too_old" if now - event.ts > window else ""

    def send(self, events: Sequence[Event], *, deadline_s: float) -> Receipt:
        """Google checks the request at once and each event later: a taken request is asked about by its ID (`outcome`)."""
        body = {
            "destinations": [self._destination(events[0].mapping.target)],
            "events": [self._event(event) for event in events],
            "encoding": "HEX",
        }
        answer = self._post(body, deadline_s=deadline_s)
        try:
            return Receipt(request_id=msgspec.convert(answer, Taken).request_id)
        except msgspec.ValidationError:
            # It may have been taken: repeating it is harmless, losing its ID would leave its failures unseen.
            raise Transient(self._source, "events:ingest answered without a request ID") from None

    def outcome(self, request_id: str, *, deadline_s: float) -> Outcome | None:
        try:
            answer = self._call(
                "GET", "v1/requestStatus:retrieve", params={"requestId": request_id}, deadline_s=deadline_s
            )
        except _InvalidEvents as error:
            raise Refused(error.detail) from None
        try:
            (status,) = msgspec.convert(answer, RequestStatus).request_status_per_destination
            return outcome_of(status)
        except (msgspec.ValidationError, ValueError):
            raise Transient(self._source, "requestStatus has another shape than documented") from None

    def probe(self, *, deadline_s: float) -> str:
        """Signs in and has a made-up event checked with `validateOnly`, which records nothing. That the event itself is refused is fine."""
        target = self.config.conversions[0].target
        event = {
            "transactionId": "clicktrace-doctor",
            "eventTimestamp": to_rfc3339(0),
            "adIdentifiers": {"gclid": "clicktrace-doctor"},
            "eventSource": "WEB",
        }
        body = {"destinations": [self._destination(target)], "events": [event], "encoding": "HEX", "validateOnly": True}
        with suppress(Refused):
            self._post(body, deadline_s=deadline_s)
        return f"conversion action {target} of account {self.config.account} takes events"

    def close(self) -> None:
        client: HttpClient | None = self.__dict__.pop("_http", None)
        if client is not None:
            client.close()

    # --- what is sent ----------------------------------------------------------------------------------------------------------------

    def _destination(self, target: str) -> dict[str, Any]:
        operating = {"accountType": "GOOGLE_ADS", "accountId": self.config.account}
        login = {"accountType": "GOOGLE_ADS", "accountId": self.config.login_account or self.config.account}
        return {"operatingAccount": operating, "loginAccount": login, "productDestinationId": target}

    def _event(self, event: Event) -> dict[str, Any]:
        found = event.candidate
        body: dict[str, Any] = {
            "transactionId": event.event_id,
            "eventTimestamp": to_rfc3339(event.ts),
            "adIdentifiers": {event.id_name: event.id_value},
            "eventSource": _SOURCES.get(found.origin, "WEB"),
        }
        if event.mapping.send_value and found.currency:
            body |= {"currency": found.currency, "conversionValue": found.value_micros / MICROS}
        if consent(found) == GIVEN:
            body["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
        if self.config.send_contacts:
            contacts = {"emailAddress": found.email_sha256, "phoneNumber": found.phone_sha256}
            identifiers = [{name: value} for name, value in contacts.items() if value]
            if identifiers:
                body["userData"] = {"userIdentifiers": identifiers}
        return body

    # --- the wire --------------------------------------------------------------------------------------------------------------------

    @cached_property
    def _http(self) -> HttpClient:
        endpoint = (self.config.endpoint or ENDPOINT).rstrip("/") + "/"
        # Whether to repeat a call is decided by the runner, from the sent log.
        return HttpClient(self._source, base_url=endpoint, classify=self._error, policy=RetryPolicy(attempts=1))

    def _post(self, body: dict[str, Any], *, deadline_s: float) -> dict[str, Any]:
        try:
            return self._call("POST", "v1/events:ingest", json=body, deadline_s=deadline_s)
        except _InvalidEvents as error:
            raise Refused(error.detail, events=error.events) from None

    def _call(
        self, method: str, path: str, *, deadline_s: float, params: dict[str, str] | None = None, json: Any = None
    ) -> dict[str, Any]:
        headers = self._sign_in(deadline_s=deadline_s)
        response = self._http.request(method, path, params=params, json=json, headers=headers, deadline_s=deadline_s)
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Transient(self._source, f"{path}: the answer is not a JSON object") from None

    def _sign_in(self, *, deadline_s: float) -> dict[str, str]:
        try:
            return self._account.bearer(timeout_s=deadline_s)
        except Transient as error:
            error.unsent = True  # without a token nothing was sent
            raise

    def _error(self, response: httpx.Response) -> SourceError | None:
        """Google's error object decides ("Understand API errors"): only an answer about events is about events."""
        try:
            error = msgspec.json.decode(response.content, type=ErrorBody).error
        except msgspec.MsgspecError:
            return self._account.refused("the token was refused") if response.status_code == 401 else None
        detail = words_of(error)
        if response.status_code == 401 or error.status == "UNAUTHENTICATED":
            return self._account.refused(detail)
        if error.status == "RESOURCE_EXHAUSTED" or response.status_code == 429:
            return QuotaExceeded(self._source, detail, retry_after_s=retry_after_s(response, now=now_ms()))
        if response.status_code not in (400, 404):
            return None
        events = events_at_fault(error)
        if events or names_request(error):
            return _InvalidEvents(self._source, detail, events=events)
        return Permanent(self._source, detail)
