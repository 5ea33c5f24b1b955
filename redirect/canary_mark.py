"""The mark of a canary: how the redirect tells our own clicks from people's, and what it journals for them.

A canary takes the way that clicks and touches take (link, routing, answer, journal, shipper, store), but is journaled as a kind of its
own, so no query over clicks or touches can count it, today's or a later one. The mark cannot be guessed: `<ms>.<nonce>.<hash>`, the hash
keyed with the day's salt, which only our own processes know and which is gone after two days. A mark older than `VALID_MS` is refused,
and a hit with a wrong one is no click: otherwise a clock that is off would turn canaries into visitors.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

import msgspec

from core.records import Canary, Click, Touch
from redirect.privacy import Networks

HEADER: Final = "X-Clicktrace-Canary"
VALID_MS: Final = 60_000
_MAX_MARK: Final = 96
_decode = msgspec.json.Decoder(Click | Touch).decode
_encode = msgspec.json.Encoder().encode


def mark(networks: Networks, *, nonce: str, now: int) -> str:
    """A mark for one request; "" without a salt."""
    text = f"{now}.{nonce}"
    keyed = networks.hash(_keyed_text(text))
    return f"{text}.{keyed}" if keyed else ""


def is_valid(given: bytes, networks: Networks, *, now: int) -> bool:
    """Whether a mark was made by us, lately."""
    text, _, keyed = given.decode("latin-1").rpartition(".")
    at = text.partition(".")[0]
    expected = networks.hash(_keyed_text(text))
    if len(given) > _MAX_MARK or not expected or not compare_digest(keyed.encode(), expected.encode()):
        return False
    return at.isascii() and at.isdigit() and abs(now - int(at)) <= VALID_MS


def as_canary(record: bytes) -> bytes:
    """The record of a click or touch as that of a canary's step."""
    said = _decode(record)
    if isinstance(said, Touch):
        return _encode(Canary(ts=said.ts, source=said.source, click_id=said.click_id, step="touch"))
    return _encode(
        Canary(
            ts=said.ts,
            source=said.source,
            click_id=said.click_id,
            step="click",
            link_id=said.link_id,
            slug=said.slug,
            domain=said.domain,
            http_status=said.http_status,
            reason=said.reason,
            duration_us=said.duration_us,
        )
    )


def _keyed_text(text: str) -> str:
    """No address begins like this, so no network's hash is a mark."""
    return f"canary:{text}"
