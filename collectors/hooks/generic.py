"""The generic signed webhook: whoever can sign a body with HMAC-SHA256 and say when, in the words of the settings.

Two ways of signing: `<timestamp>.<body>` in hex, and Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), which many
services speak.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec

from collectors.hooks.base import Delivery, HookRequest, check_age, hmac_sha256, read_secrets, same_as_any
from collectors.hooks.config import GenericConfig, GenericConnection
from collectors.push.bodies import SHAPES, from_row
from core.errors import Invalid, Unauthorized
from core.records import Record

MAX_ITEMS: Final = 1_000
#: A number with a larger exponent is none of ours; written out it would fill the memory.
MAX_DIGITS: Final = 40
#: Fields of the bodies that hold times.
_TIMES: Final = frozenset({"ts", "bucket", "launched"})
_STANDARD: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_STANDARD_SECRET: Final = b"whsec_"

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class GenericHook:
    """One connection of `collectors.generic`."""

    kind = "generic"

    def __init__(self, connection: GenericConnection, *, config: GenericConfig) -> None:
        self._connection = connection

    def verify(self, request: HookRequest, *, now: int) -> Delivery:
        secrets = read_secrets(self._connection.webhook_secret_file)
        if self._connection.scheme == "standard":
            identifier, stamp, signature = _headers(request, _STANDARD)
            payload = f"{identifier}.{stamp}.".encode() + request.body
            expected = ["v1," + base64.b64encode(hmac_sha256(_key(s), payload)).decode() for s in secrets]
            given = signature.split()
        else:
            named = (self._connection.timestamp_header, self._connection.signature_header)
            stamp, signature = _headers(request, named)
            payload = f"{stamp}.".encode() + request.body
            expected = [hmac_sha256(secret, payload).hex() for secret in secrets]
            given = [part.strip().rpartition("=")[2].lower() for part in signature.split(",")]
        if not same_as_any(given, expected):
            raise Unauthorized("bad_signature", "not signed with a secret of this hook")
        sent_at = _sent_at(stamp)
        check_age(sent_at, now=now, tolerance_s=self._connection.tolerance_s)
        return Delivery(
            delivery_id=sha256(payload).hexdigest(),
            sent_at=sent_at,
            expires_at=sent_at + self._connection.tolerance_s * 1000,
        )

    def records(self, body: bytes, *, now: int) -> list[Record]:
        connection = self._connection
        shape, source = SHAPES[connection.collection], f"hook:{connection.name}"
        facts = facts_in(body, items=connection.items)
        wanted = [fact for fact in facts if all(text_at(fact, path) == word for path, word in connection.only.items())]
        return [from_row(shape, row_of(fact, connection), now=now, source=source) for fact in wanted]


def facts_in(body: bytes, *, items: str) -> list[Any]:
    """The facts in a body: what stands at `items`, one or a list.

    Raises:
        Invalid: `malformed` (400), `missing_field`, `too_many_items`.
    """
    try:
        content = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", f"the body is not JSON: {error}", status=400) from None
    found = value_at(content, items) if items else content
    if found is None:
        raise Invalid("missing_field", f"{items}: there is nothing there")
    facts = found if isinstance(found, list) else [found]
    if len(facts) > MAX_ITEMS:
        raise Invalid("too_many_items", f"{len(facts)} facts: send at most {MAX_ITEMS} at once", status=413)
    return facts


def row_of(fact: Any, connection: GenericConnection) -> dict[str, Any]:
    """Our fields of one fact, as texts.

    Raises:
        Invalid: `not_an_object`, `bad_value`.
    """
    if not isinstance(fact, Mapping):
        raise Invalid("not_an_object", "a fact is not a JSON object")
    paths = connection.fields
    found = {ours: value_at(fact, path) for ours, path in paths.items()} if paths else fact
    read = {str(ours): _read(ours, value, connection) for ours, value in found.items() if value not in (None, "")}
    # The client is ours to say, never the sender's.
    return connection.constants | read | ({"client": connection.client} if connection.client else {})


def _read(name: str, value: Any, connection: GenericConnection) -> Any:
    if isinstance(value, Mapping):
        return {str(key): text_of(each) for key, each in value.items() if each is not None}
    text = text_of(value)
    if name in _TIMES and connection.times != "rfc3339":
        return _rfc3339(text, name, per_second=1 if connection.times == "unix_s" else 1000)
    return connection.values.get(name, {}).get(text, text)


def value_at(value: Any, path: str) -> Any:
    """What stands at a path such as `data.items.0.id`; None when there is nothing."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def text_at(value: Any, path: str) -> str:
    found = value_at(value, path)
    return "" if found is None or isinstance(found, Mapping | list) else text_of(found)


def text_of(value: Any) -> str:
    """A JSON value as text; numbers as they were written, without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal) and abs(value.adjusted()) <= MAX_DIGITS:
        return f"{value:f}"
    if isinstance(value, str | int):
        return str(value)
    raise Invalid("bad_value", "a field has a list, an object or a huge number where a text or a number belongs")


def _rfc3339(text: str, name: str, *, per_second: int) -> str:
    try:
        moment = datetime.fromtimestamp(float(Decimal(text) / per_second), UTC)
    except (ArithmeticError, ValueError, OverflowError, OSError):
        raise Invalid("bad_value", f"{name}: not a time since 1970") from None
    return moment.isoformat(timespec="milliseconds")


def _headers(request: HookRequest, names: tuple[str, ...]) -> list[str]:
    values = [request.headers.get(name, "") for name in names]
    for name, value in zip(names, values, strict=True):
        if not value:
            raise Unauthorized("missing_signature", f"send the header {name}")
    return values


def _sent_at(stamp: str) -> int:
    """Seconds since 1970 as ms; called only for what was signed."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 11):
        raise Unauthorized("stale_timestamp", "the time of signing is not in whole seconds since 1970")
    return int(stamp) * 1000


def _key(secret: bytes) -> bytes:
    """The key of a Standard Webhooks secret: base64 behind `whsec_`."""
    if not secret.startswith(_STANDARD_SECRET):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_SECRET), validate=True)
    except binascii.Error:
        raise Invalid(
            "secret_unavailable", "the secret of this hook is not base64; try again later", status=503
        ) from None
