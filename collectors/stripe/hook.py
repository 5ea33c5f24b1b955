"""Stripe, called by it: a payment is known seconds after it was made (README.md beside this file).

Signature by "Resolve webhook signature verification errors" / "Verify webhook signatures manually" (docs.stripe.com/webhooks):
`Stripe-Signature: t=<s>,v1=<hex>[,v1=<hex>…]`, HMAC SHA-256 over ``<t>.<body>``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from collectors.bearer_api import Deadline, Item
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
from collectors.stripe.charges import Charge, conversion_of
from collectors.stripe.client import EventObject, StripeClient
from collectors.stripe.config import StripeConfig, StripeConnection
from core.errors import Invalid, SourceError, Unauthorized
from core.records import Record

#: Events come in any order, and again when an answer was lost: what is older than this may have been overtaken, so the charge is asked.
FRESH_MS: Final = 60_000
#: Objects of these events are a charge, or name one.
_PREFIXES: Final = ("charge.", "refund.")


class _Data(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    """`created` in seconds. `account` is there for a connected account's event (Connect)."""

    id: str
    type: str
    created: int
    data: _Data
    account: str | None = None


class StripeHook:
    """One Stripe account's webhook endpoint."""

    kind = "stripe"

    def __init__(self, connection: StripeConnection, *, config: StripeConfig) -> None:
        self._connection = connection
        self._source = f"stripe:{connection.name}"
        self._client = StripeClient(connection, source=self._source) if connection.credentials_file else None

    def verify(self, request: HookRequest, *, now: int) -> Delivery:
        sent_s, signatures = parse_signature(request.headers.get("stripe-signature", ""))
        signed = f"{sent_s}.".encode() + request.body
        expected = [hmac_sha256(secret, signed).hex() for secret in read_secrets(self._connection.webhook_secret_file)]
        if not same_as_any(signatures, expected):
            raise Unauthorized("bad_signature", "Stripe-Signature: no v1 signature fits this endpoint's secret")
        check_age(sent_s * 1000, now=now)
        return Delivery(
            # Of what was signed, not the signature: while a secret is exchanged one delivery carries two of them.
            delivery_id=sha256(signed).hexdigest(),
            sent_at=sent_s * 1000,
            expires_at=(sent_s + TOLERANCE_S) * 1000 + 1,
        )

    def records(self, body: bytes, *, now: int) -> list[Record]:
        """The charge's conversion, as it is now.

        1. Events of other accounts, and of other things than charges, say nothing to us.
        2. The charge in a fresh event is taken as it stands; without an API key in any event.
        3. A late event, a dispute, a refund: the charge is asked for, as it is now.
        """
        event = _decode(body, _Event)
        if not event.type.startswith(_PREFIXES) or (event.account or "") != self._connection.account:
            return []
        named = _decode(event.data.object, EventObject)
        inside = _decode(event.data.object, Charge) if named.object == "charge" else None
        if self._client is None or (inside and not inside.disputed and now - event.created * 1000 <= FRESH_MS):
            # Whose dispute is lost only the list of disputes knows; without a key nothing is better than a wrong state.
            return self._converted(inside, []) if inside and not inside.disputed else []
        return self._converted(*self._present(named.charge_id)) if named.charge_id else []

    def _present(self, identifier: str) -> tuple[Charge, list[str]]:
        """The charge as it is now, with the statuses of its disputes."""
        assert self._client is not None
        deadline = Deadline(self._source, CALL_S)
        try:
            found = self._client.charge(identifier, deadline=deadline)
            if found.problems:
                raise Invalid("bad_value", found.problems[0])
            return found.items[0], self._client.dispute_statuses(found.items[0], deadline=deadline)
        except SourceError as error:
            raise vendor_unavailable(error) from None

    def _converted(self, charge: Charge, disputes: list[str]) -> list[Record]:
        try:
            record = conversion_of(charge, self._connection, disputes=disputes)
        except ValueError as error:
            raise Invalid("bad_value", f"charge {charge.id}: {error}") from None
        return [record] if record is not None else []


def parse_signature(header: str) -> tuple[int, list[str]]:
    """(time in seconds, v1 signatures) of a Stripe-Signature header; other schemes, such as v0 of test events, do not count.

    Raises:
        Unauthorized: `missing_signature`.
    """
    pairs = [pair.strip().partition("=") for pair in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1" and value]
    # Plain digits of a sane length: int() would also take signs, spaces and digits of other scripts.
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12) or not signatures:
        raise Unauthorized("missing_signature", "Stripe-Signature: t=… and v1=… are needed")
    return int(times[0]), signatures


def _decode(raw: bytes | msgspec.Raw, shape: type[Item]) -> Item:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise Invalid("bad_value", f"the event has another shape than documented: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("malformed", f"the body is not JSON: {error}", status=400) from None
