"""HubSpot, called by it: its events say what changed, and the objects are then read (README.md beside this file).

Signature by "Validating requests", v3 (developers.hubspot.com): `X-HubSpot-Signature-v3` is the base64 of HMAC SHA-256, with the app's
client secret, over method, URI, body and `X-HubSpot-Request-Timestamp` (ms) one after the other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from collectors.bearer_api import Deadline
from collectors.hooks.base import (
    TOLERANCE_S,
    Delivery,
    HookRequest,
    check_age,
    hmac_sha256,
    read_secrets,
    same_as_any,
)
from collectors.hooks.upstream import CALL_S, vendor_unavailable
from collectors.hubspot.client import HubspotClient
from collectors.hubspot.config import HubspotConfig, HubspotConnection
from collectors.hubspot.reading import Reading
from core.errors import Invalid, SourceError, Unauthorized
from core.records import Record

#: What is decoded in the URI before it is signed, by the page's table; everything else stays as it is.
DECODED: Final = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_ENCODED: Final = re.compile("|".join(DECODED), re.IGNORECASE)

#: `objectTypeId` of generic subscriptions ("object.creation" …).
OBJECT_TYPES: Final = {"0-1": "contact", "0-3": "deal"}
#: What is gone cannot be read; what was said of it before stays what it was.
GONE: Final = frozenset({"deletion", "privacyDeletion"})


class HubspotEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One of up to 100 events of a call ("Webhooks"). A merge names the object that stays, or the new one that both became."""

    subscription_type: str
    portal_id: int
    object_id: int = 0
    object_type_id: str = ""
    primary_object_id: int = 0
    new_object_id: int | None = None

    @property
    def kind(self) -> str:
        kind = self.subscription_type.partition(".")[0]
        return OBJECT_TYPES.get(self.object_type_id, "") if kind == "object" else kind

    @property
    def identifier(self) -> int:
        return self.new_object_id or self.primary_object_id or self.object_id


class HubspotHook:
    """The webhook of one app in one portal."""

    kind = "hubspot"

    def __init__(self, connection: HubspotConnection, *, config: HubspotConfig) -> None:
        self._connection = connection
        self._source = f"hubspot:{connection.name}"
        client = HubspotClient(connection, source=self._source, searches_per_second=config.searches_per_second)
        self._reading = Reading(client, connection)

    def verify(self, request: HookRequest, *, now: int) -> Delivery:
        signature = request.headers.get("x-hubspot-signature-v3", "")
        timestamp = request.headers.get("x-hubspot-request-timestamp", "")
        if not signature or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
            raise Unauthorized("missing_signature", "X-HubSpot-Signature-v3 and X-HubSpot-Request-Timestamp are needed")
        signed = f"{request.method}{decoded_uri(request.url)}".encode() + request.body + timestamp.encode()
        secrets = read_secrets(self._connection.webhook_secret_file)
        expected = [base64.b64encode(hmac_sha256(secret, signed)).decode() for secret in secrets]
        if not same_as_any([signature], expected):
            raise Unauthorized(
                "bad_signature", "X-HubSpot-Signature-v3: not of this URL and body with the app's client secret"
            )
        sent_at = int(timestamp)
        check_age(sent_at, now=now)
        return Delivery(
            delivery_id=sha256(signed).hexdigest(), sent_at=sent_at, expires_at=sent_at + TOLERANCE_S * 1000 + 1
        )

    def records(self, body: bytes, *, now: int) -> list[Record]:
        """The contacts and deals that the events name, as they are now: in whatever order events come, the last state stands."""
        events = decode_events(body)
        contacts = self._named(events, "contact") if self._connection.contacts else []
        deals = self._named(events, "deal") if self._connection.deals else []
        if not contacts and not deals:
            return []
        try:
            found = self._reading.named(contacts, deals, deadline=Deadline(self._source, CALL_S))
        except SourceError as error:
            raise vendor_unavailable(error) from None
        if found.problems and not found.items:
            raise Invalid("bad_value", found.problems[0])
        return found.items

    def _named(self, events: Iterable[HubspotEvent], kind: str) -> list[str]:
        portal = self._connection.portal
        return list(
            dict.fromkeys(
                str(event.identifier)
                for event in events
                if event.kind == kind
                and event.identifier
                and portal in (0, event.portal_id)
                and event.subscription_type.partition(".")[2] not in GONE
            )
        )


def decoded_uri(url: str) -> str:
    return _ENCODED.sub(lambda found: DECODED[found[0].upper()], url)


def decode_events(body: bytes) -> list[HubspotEvent]:
    """The events of a call.

    Raises:
        Invalid: `malformed` (400), `bad_value`.
    """
    try:
        return msgspec.json.decode(body, type=list[HubspotEvent])
    except msgspec.ValidationError as error:
        raise Invalid("bad_value", f"an event has another shape than documented: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("malformed", f"the body is not JSON: {error}", status=400) from None
