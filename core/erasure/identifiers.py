"""What tells a person apart, and in which fields of which kinds it stands.

Two sorts. `click_id`, `order_id` and `fact_id` (a conversion's natural key) name something that happened once: once erased they never come
back. The others name a person, who may come again and is then a new visitor with rights of their own: they are erased up to a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, Literal

import msgspec

from core.errors import Invalid
from core.identity import IDENTITY_PARAMETERS, derive, is_click_id, usable

Name = Literal["click_id", "order_id", "fact_id", "visitor_id", "crm_id", "email_sha256", "phone_sha256"]
ONCE: Final[frozenset[Name]] = frozenset({"click_id", "order_id", "fact_id"})
NAMES: Final[tuple[Name, ...]] = (
    "click_id",
    "order_id",
    "fact_id",
    "visitor_id",
    "crm_id",
    "email_sha256",
    "phone_sha256",
)
#: By what a person may be named who wants to be erased.
SUBJECTS: Final[tuple[Name, ...]] = ("visitor_id", "order_id", "email_sha256", "click_id")

#: Kinds that are about one person: their lines go as a whole. Field -> identifier.
FIELDS: Final[dict[str, dict[str, Name]]] = {
    "click": {"click_id": "click_id", "visitor_id": "visitor_id"},
    "touch": {"click_id": "click_id", "visitor_id": "visitor_id"},
    "impression": {"visitor_id": "visitor_id", "hashed_id": "email_sha256"},
    "conversion": {
        "fact_id": "fact_id",
        "click_id": "click_id",
        "visitor_id": "visitor_id",
        "order_id": "order_id",
        "crm_id": "crm_id",
        "email_sha256": "email_sha256",
        "phone_sha256": "phone_sha256",
    },
    "span": {"click_id": "click_id"},
    "platform_click": {"click_id": "click_id"},
    "upload": {"conversion": "fact_id", "event_id": "order_id"},
}
#: Kinds that tell of many people and may show a click as evidence: only the ID is taken out.
MENTIONING: Final = frozenset({"incident", "decision"})

_HEX64: Final = re.compile(r"[0-9a-f]{64}")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be erased: one identifier."""

    name: Name
    value: str


def subject(name: str, value: str) -> Subject:
    """A checked subject.

    Raises:
        Invalid: `unknown_subject` or `bad_value`.
    """
    for known in SUBJECTS:
        if known == name:
            _check(known, value)
            return Subject(name=known, value=value)
    raise Invalid("unknown_subject", f"{name}: a person is named by one of {', '.join(SUBJECTS)}")


def _check(name: Name, value: str) -> None:
    """The value is never repeated: it is personal, and messages are kept in logs."""
    if name in ("visitor_id", "click_id") and not is_click_id(value):
        raise Invalid("bad_value", f"a {name} is 32 lower-case hex digits")
    if name == "email_sha256" and not _HEX64.fullmatch(value):
        raise Invalid("bad_value", "an email_sha256 is 64 lower-case hex digits (--email takes the address itself)")
    if not value.strip() or len(value) > 512:
        raise Invalid("bad_value", f"a {name} has 1 to 512 characters")


class Pseudonyms:
    """Keyed digests of identifiers: what is kept of an erased person says nothing to whoever lacks the secret."""

    def __init__(self, secret: bytes) -> None:
        #: As text, because the engine computes the same digests (`core.erasure.stored`).
        self.secret = secret.hex()
        #: Tells this secret from another one and nothing of it: 16 hex digits.
        self.mark = sha256(f"{self.secret}:mark".encode()).hexdigest()[:16]
        self._begun = {name: sha256(f"{self.secret}{name}:".encode()) for name in NAMES}

    def of(self, name: Name, value: str) -> str:
        """32 upper-case hex digits: the first 16 bytes of SHA-256 over secret, name, ``:`` and value."""
        digest = self._begun[name].copy()
        digest.update(value.encode())
        return digest.digest()[:16].hex().upper()


def derived_click_ids(platform_ids: dict[str, str]) -> Iterator[str]:
    """The click IDs that platform IDs stand for (design §4)."""
    for parameter in IDENTITY_PARAMETERS:
        value = platform_ids.get(parameter, "").encode()
        if usable(value):
            yield derive(parameter, value)
