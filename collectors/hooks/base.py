"""The contract between the hooks' door and a hook: something that outside systems call, each with a signature of its own form.

The door (`collectors.hooks.api`) reads the body within its limit, finds the hook by the name in the path, and does what is the same
for all: rate limit, replays, journal. A hook says only what differs: how its sender signs, and what a body means.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from pydantic import Field

from collectors.source_config import ConnectionConfig
from core.errors import Invalid, Unauthorized
from core.records import Record

#: Clocks differ and networks are slow; five minutes is what Stripe and HubSpot document for their own signatures.
TOLERANCE_S: Final = 300


class HookConnection(ConnectionConfig):
    """A connection that may also be called. Without a secret there is no hook of this name, and the path answers 404."""

    pull: bool = Field(True, description="False: nothing is read at intervals, only the webhook counts.")

    webhook_secret_file: str = Field(
        "",
        description="File with the secret that the sender signs with; one per line, each valid, so that it can be "
        "exchanged without a gap. Read at each use; empty = no hook.",
    )


class HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `url` is as the sender saw it (`public_url`, path, query); names of `headers` are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay is told by.

    `delivery_id` must follow from what was signed, such as the signature itself: a header beside it can be changed by whoever
    replays. `sent_at` in ms. After `expires_at` (ms) the same bytes no longer pass `verify`, so that the ID need not be kept
    longer; 0 = they always do (nothing signed says when), and the ID is kept for `collectors.hooks.remember_s`.
    """

    delivery_id: str
    sent_at: int
    expires_at: int = 0


class Hook(Protocol):
    """Built as ``Hook(connection, *, config=section)``. Used from several threads, so without state that changes."""

    kind: str

    def verify(self, request: HookRequest, *, now: int) -> Delivery:
        """Who sent it and when.

        Raises:
            Unauthorized: `missing_signature`, `bad_signature`, `stale_timestamp`.
            Invalid: `secret_unavailable` (503), by `read_secrets`.
        """
        ...

    def records(self, body: bytes, *, now: int) -> list[Record]:
        """The facts in a verified body, with the connection's client; [] = nothing of interest.

        Raises:
            Invalid: with a word of `collectors.refusals`.
        """
        ...


def read_secrets(file: str) -> list[bytes]:
    """The secrets in a file, one per line.

    Raises:
        Invalid: `secret_unavailable` (503, so that the sender tries again): it cannot be read or holds none.
    """
    try:
        secrets = [line.strip() for line in Path(file).read_bytes().splitlines() if line.strip()]
    except OSError:
        secrets = []
    if not secrets:
        # The path stays out of an answer to the Internet; `clicktrace doctor` names it.
        raise Invalid("secret_unavailable", "the secret of this hook cannot be read here; try again later", status=503)
    return secrets


def hmac_sha256(secret: bytes, payload: bytes) -> bytes:
    return hmac.new(secret, payload, hashlib.sha256).digest()


def same_as_any(given: Iterable[str], expected: Iterable[str]) -> bool:
    """Whether one of the given signatures is one of the expected. Compares all pairs in constant time, whatever was found."""
    wanted = [text.encode() for text in expected]
    found = False
    for signature in given:
        for text in wanted:
            found |= hmac.compare_digest(signature.encode("utf-8", "replace"), text)
    return found


def check_age(sent_at: int, *, now: int, tolerance_s: int = TOLERANCE_S) -> None:
    """Pass what was signed within the tolerance, before or after our own clock (ms).

    Raises:
        Unauthorized: `stale_timestamp`.
    """
    if abs(now - sent_at) > tolerance_s * 1000:
        away = (now - sent_at) // 1000
        raise Unauthorized(
            "stale_timestamp", f"signed {away} s ago: at most {tolerance_s} s are accepted; check the clock"
        )
