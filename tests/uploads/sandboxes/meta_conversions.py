"""Meta's Conversions API on the wire: POST /v25.0/<data set>/events.

Shapes and rules by "Using the API", "Server Event Parameters", "Customer Information Parameters" and "fbp and fbc Parameters": an event
older than seven days fails the whole request; so does any other invalid one; what has the same event_id and event_name within 48 hours is
counted once.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

from core.clock import DAY_MS, HOUR_MS
from tests.collectors.sandboxes.base import Answer, Request, Sandbox, bearer

EVENT_FIELDS = {
    "event_name", "event_time", "user_data", "custom_data", "event_source_url", "opt_out", "event_id", "action_source",
    "data_processing_options", "referrer_url",
}  # fmt: skip
USER_FIELDS = {"em", "ph", "fbc", "fbp", "client_user_agent", "client_ip_address", "external_id"}
FBC = re.compile(r"^fb\.[0-2]\.[0-9]{13}\.[A-Za-z0-9_-]+$")
MAX_EVENTS = 1_000


class MetaConversionsSandbox(Sandbox):
    """`counted` is what the data set shows: (event name, event ID) -> the events that were told apart, oldest first."""

    def __init__(self, directory: Path, *, dataset: str = "5550001", **more: Any) -> None:
        super().__init__(**more)
        self.dataset = dataset
        self.credentials_file = directory / "token"
        self.token = f"EAAB{secrets.token_hex(16)}"
        self.counted: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.batches: list[list[dict[str, Any]]] = []
        self.repeated = 0
        #: Requests of which everything is done and nothing answered.
        self.lose_answers = 0
        #: Event IDs that make a request invalid, without being named.
        self.bad: set[str] = set()
        self._arrived: dict[tuple[str, str], int] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.credentials_file.write_text(self.token)

    def pixel(self, event_name: str, event_id: str) -> None:
        """The browser reports an event, as the page's pixel does."""
        self._count({"event_name": event_name, "event_id": event_id, "from": "pixel"}, now=self.clock())

    def quota_answer(self, request: Request) -> Answer:
        answer = graph_error(400, 80004, "There have been too many calls to this ad-account.")
        minutes = round(self.behaviour.retry_after_s / 60)
        use = {"type": "ads_management", "call_count": 100, "estimated_time_to_regain_access": minutes}
        return Answer(status=400, body=answer.body, headers={"x-business-use-case-usage": json.dumps({"1": [use]})})

    def error_answer(self, request: Request) -> Answer:
        return graph_error(500, 1, "An unknown error occurred")

    def answer(self, request: Request) -> Answer:
        if bearer(request.headers) != self.token:
            return graph_error(401, 190, "Invalid OAuth access token - Cannot parse access token")
        if (request.method, request.path) == ("GET", "/v25.0/me"):
            return Answer(body={"id": "1"})
        if (request.method, request.path) != ("POST", f"/v25.0/{self.dataset}/events"):
            return graph_error(400, 100, "Unsupported post request. Object does not exist.", subcode=33)
        with self.lock:
            return self._events(request.json)

    def _events(self, body: dict[str, Any]) -> Answer:
        now, events = self.clock(), body.get("data", [])
        if set(body) - {"data", "test_event_code"} or not 0 < len(events) <= MAX_EVENTS:
            return graph_error(400, 100, "Invalid parameter", subcode=2804019)
        for event in events:
            subcode = invalid(event, now=now)
            if subcode or event.get("event_id") in self.bad:
                return graph_error(400, 100, "Invalid parameter", subcode=subcode or 2804050)
        self.batches.append(events)
        for event in events:
            self._count(event, now=now)
        if self.lose_answers:
            self.lose_answers -= 1
            return graph_error(500, 1, "An unknown error occurred")
        return Answer(body={"events_received": len(events), "messages": [], "fbtrace_id": "A1b2"})

    def _count(self, event: dict[str, Any], *, now: int) -> None:
        key = (event["event_name"], event["event_id"])
        if key in self._arrived and now - self._arrived[key] <= 48 * HOUR_MS:
            self.repeated += 1
            return
        self._arrived[key] = now
        self.counted.setdefault(key, []).append(event)


def invalid(event: dict[str, Any], *, now: int) -> int:
    """The subcode of what is wrong with an event, 0 = nothing."""
    user = event.get("user_data") or {}
    website = event.get("action_source") == "website"
    if set(event) - EVENT_FIELDS or not event.get("event_name"):
        return 2804008
    if not isinstance(event.get("event_time"), int) or not 0 <= now - event["event_time"] * 1000 <= 7 * DAY_MS:
        return 2804003
    if not user or set(user) - USER_FIELDS or not FBC.match(user.get("fbc", "")):
        return 2804050
    if website and not (user.get("client_user_agent") and str(event.get("event_source_url", "")).startswith("http")):
        return 2804064
    money = event.get("custom_data", {})
    return 2804009 if money and not (len(money.get("currency", "")) == 3 and money.get("value", 0) >= 0) else 0


def graph_error(status: int, code: int, message: str, *, subcode: int = 0) -> Answer:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2"}
    if subcode:
        error |= {
            "error_subcode": subcode,
            "is_transient": False,
            "error_user_title": "Invalid event",
            "error_user_msg": "See the documentation.",
        }
    return Answer(status=status, body={"error": error})
