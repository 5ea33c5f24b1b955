"""What ties a vendor's object to a click: which of its fields hold our match keys, and how personal ones are hashed.

An address or a number never reaches the journal: only its SHA-256 does, of the trimmed, lower-case e-mail address and of the number
in E.164 form, as `email_sha256` and `phone_sha256` are defined for all doors (collectors/push/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS, is_click_id, usable
from core.personal import holds_email

#: Our names that a setting may point at a field of the vendor's.
NAMES: Final = ("click_id", "visitor_id", "order_id", *IDENTITY_PARAMETERS, *MATCH_PARAMETERS)
#: What the fields are called when people follow docs/instrumenting.md; all others are called as we call them.
USUAL: Final[Mapping[str, str]] = {"click_id": "ct_click", "visitor_id": "ct_vid"}
MAX_ORDER_ID: Final = 255

_PHONE: Final = re.compile(r"^\+[1-9]\d{6,14}$")
_PHONE_FILL: Final = re.compile(r"[\s().\-/]")


class MatchKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys found; "" and {} where there is none."""

    click_id: str = ""
    visitor_id: str = ""
    order_id: str = ""
    platform_ids: dict[str, str] = {}


def field_names(own: Mapping[str, str], usual: Mapping[str, str] = USUAL) -> dict[str, str]:
    """Our name -> the vendor's field; what is set wins over what is usual, and "" stands for "not kept there"."""
    names = {name: own.get(name, usual.get(name, name)) for name in NAMES}
    return {ours: theirs for ours, theirs in names.items() if theirs}


def keys_in(values: Mapping[str, str | None], names: Mapping[str, str]) -> MatchKeys:
    """The keys among a vendor's fields. What cannot be a key is left out: one odd field must not cost a conversion."""
    found = {ours: (values.get(theirs) or "").strip() for ours, theirs in names.items()}
    platform = {
        name: found[name]
        for name in (*IDENTITY_PARAMETERS, *MATCH_PARAMETERS)
        if usable(found.get(name, "").encode()) and not holds_email(found[name])
    }
    order = found.get("order_id", "")
    return MatchKeys(
        click_id=_hex(found.get("click_id", "")),
        visitor_id=_hex(found.get("visitor_id", "")),
        order_id="" if len(order) > MAX_ORDER_ID or holds_email(order) else order,
        platform_ids=platform,
    )


def email_sha256(address: str | None) -> str:
    """Hash of an e-mail address, trimmed and in lower case; "" when it is none."""
    text = (address or "").strip().lower()
    return sha256(text.encode()).hexdigest() if holds_email(text) else ""


def phone_sha256(number: str | None) -> str:
    """Hash of a telephone number in E.164 form (``+4930123456``); "" for one without country code, which many people share."""
    text = _PHONE_FILL.sub("", number or "")
    text = f"+{text[2:]}" if text.startswith("00") else text
    return sha256(text.encode()).hexdigest() if _PHONE.match(text) else ""


def _hex(text: str) -> str:
    return text if is_click_id(text) else ""
