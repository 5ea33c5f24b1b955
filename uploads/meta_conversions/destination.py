"""Meta conversions by the Conversions API (README.md beside this file)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, Transient
from core.money import MICROS
from core.retry import RetryPolicy
from core.vendors.meta_graph import Graph, GraphRefusal
from uploads.base import Event, Outcome, Receipt, Refused
from uploads.meta_conversions.config import MetaConversionsConnection

#: An event of one second more fails the whole request; a margin for the time until it arrives.
MARGIN_MS: Final = HOUR_MS
OLDEST_MS: Final = 7 * DAY_MS
OLDEST_IN_STORE_MS: Final = 62 * DAY_MS
#: "Invalid parameter": the one code that is about the events; all others are about the token, its rights or the data set.
INVALID_PARAMETER: Final = 100
#: ... unless the data set itself does not exist or may not be seen.
NO_SUCH_OBJECT: Final = 33


class MetaConversions:
    """`uploads.base.Destination` for one data set."""

    kind: ClassVar[str] = "meta_conversions"
    platform: ClassVar[str] = "meta"
    id_names: ClassVar[tuple[str, ...]] = ("fbclid",)
    #: "If we find a match between events sent within 48 hours of each other, we only consider the first one."
    recognised_ms: ClassVar[int | None] = 48 * HOUR_MS

    def __init__(self, connection: MetaConversionsConnection) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.config = connection
        self._source = f"{self.kind}:{connection.name}"
        # Whether to repeat a call is decided by the runner, from the sent log.
        self._graph = Graph(
            self._source,
            endpoint=connection.endpoint,
            credentials_file=connection.credentials_file,
            policy=RetryPolicy(attempts=1),
        )

    @property
    def account(self) -> str:
        return self.config.ad_account.removeprefix("act_")

    @property
    def reported_to(self) -> str:
        return f"{self.kind}:{self.config.dataset}"

    def objection(self, event: Event, *, now: int) -> str:
        oldest = OLDEST_IN_STORE_MS if self.config.action_source == "physical_store" else OLDEST_MS
        if now - event.ts > oldest - MARGIN_MS:
            return "too_old"
        if self.config.action_source != "website":
            return ""
        if not user_agent(event):
            return "no_user_agent"
        return "" if page_url(event, self.config.page_url) else "no_page_url"

    def send(self, events: Sequence[Event], *, deadline_s: float) -> Receipt:
        """Meta takes a request whole or not at all."""
        body: dict[str, Any] = {"data": [self._event(event) for event in events]}
        if self.config.test_event_code:
            body["test_event_code"] = self.config.test_event_code
        try:
            answer = self._graph.call("POST", f"{self.config.dataset}/events", json=body, deadline_s=deadline_s)
        except GraphRefusal as error:
            if error.code == INVALID_PARAMETER and error.subcode != NO_SUCH_OBJECT:
                raise Refused(error.detail) from None
            raise
        received = answer.get("events_received")
        if received != len(events):
            # Some may have arrived: sent again in time, those are recognised by their IDs.
            raise Transient(self._source, f"{received!r} of {len(events)} events were received")
        return Receipt()

    def outcome(self, request_id: str, *, deadline_s: float) -> Outcome | None:
        """Meta answers at once, so nothing is ever asked about later."""
        raise Permanent(self._source, f"there are no requests to ask about, such as {request_id}")

    def probe(self, *, deadline_s: float) -> str:
        """Who the token belongs to. Whether it may write to the data set shows with the first event."""
        found = self._graph.call("GET", "me", params={"fields": "id"}, deadline_s=deadline_s)
        return f"the token of {found.get('id', 'an unnamed user')} is valid"

    def close(self) -> None:
        self._graph.close()

    def _event(self, event: Event) -> dict[str, Any]:
        found = event.candidate
        user: dict[str, Any] = {"fbc": browser_click_id(event)}
        if agent := user_agent(event):
            user["client_user_agent"] = agent
        # `ph` is the hash of the digits alone, ours that of E.164 with its "+" (Google's form): Meta could never match it.
        if self.config.send_contacts and found.email_sha256:
            user["em"] = [found.email_sha256]
        body: dict[str, Any] = {
            "event_name": event.mapping.target,
            "event_time": event.ts // 1000,
            "event_id": event.event_id,
            "action_source": self.config.action_source,
            "user_data": user,
        }
        if self.config.action_source == "website":
            body["event_source_url"] = page_url(event, self.config.page_url)
        if event.mapping.send_value and found.currency:
            body["custom_data"] = {"currency": found.currency, "value": found.value_micros / MICROS}
        return body


def browser_click_id(event: Event) -> str:
    """`fbc`: fb.<subdomain index>.<when the click ID was first seen, ms>.<fbclid>, its case kept ("fbp and fbc Parameters")."""
    return f"fb.1.{event.candidate.click_ts or event.candidate.ts}.{event.id_value}"


def user_agent(event: Event) -> str:
    """The browser that converted, else the one that clicked."""
    return event.candidate.user_agent or event.candidate.click_user_agent


def page_url(event: Event, fallback: str) -> str:
    """The conversion's page without its query, which may hold personal data; else the configured one."""
    parts = urlsplit(event.candidate.page)
    if parts.scheme in ("http", "https") and parts.hostname:
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return fallback
