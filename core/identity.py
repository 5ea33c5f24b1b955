"""Click identity: a click ID is a W3C trace ID (design §4).

With parallel tracking the browser goes straight to the landing page and calls the redirect in the background, so nothing the
redirect mints can reach the page. Both sides see the same platform ID, so both derive the same click ID from it. The snippet
`/ct.js` repeats this derivation; `tests/vectors/identity.json` holds both to the same answers.
"""

from __future__ import annotations

import os
from hashlib import sha256

#: Platform IDs that identify one click, in order of precedence. gbraid, wbraid and li_fat_id can stand for many people: they are
#: match keys, never identities.
IDENTITY_PARAMETERS: tuple[str, ...] = ("gclid", "msclkid", "dclid", "fbclid", "ttclid", "twclid")
MATCH_PARAMETERS: tuple[str, ...] = ("gbraid", "wbraid", "li_fat_id")
CLICK_PARAMETER = "ct_click"
MAX_VALUE_BYTES = 512

_HEX = frozenset(b"0123456789abcdefABCDEF")
_NO_ID = "0" * 32
_NAMES: tuple[tuple[str, bytes], ...] = tuple((name, name.encode()) for name in IDENTITY_PARAMETERS)
_MACRO_BRACKETS = {b"{": (b"{", b"}"), b"_": (b"__", b"__"), b"[": (b"[", b"]"), b"<": (b"<", b">")}


def percent_decode(raw: bytes) -> bytes:
    """Percent-decode to raw bytes: ``+`` stays ``+``, an invalid ``%`` stays as written, no UTF-8 step."""
    if b"%" not in raw:
        return raw
    out = bytearray()
    at, end = 0, len(raw)
    while at < end:
        byte = raw[at]
        if byte == 0x25 and at + 2 < end and raw[at + 1] in _HEX and raw[at + 2] in _HEX:
            out.append(int(raw[at + 1 : at + 3], 16))
            at += 3
        else:
            out.append(byte)
            at += 1
    return bytes(out)


def is_macro(value: bytes) -> bool:
    """True for a template macro that the platform did not expand, such as ``{gclid}`` or ``__CLICKID__``."""
    brackets = _MACRO_BRACKETS.get(value[:1])  # one look-up decides for nearly every real value
    return (
        brackets is not None
        and len(value) > len(brackets[0]) + len(brackets[1])
        and value.startswith(brackets[0])
        and value.endswith(brackets[1])
    )


def usable(value: bytes) -> bool:
    """False for a value that counts as absent: empty, over 512 bytes, or an unexpanded macro."""
    return 0 < len(value) <= MAX_VALUE_BYTES and not is_macro(value)


def first_values(query: bytes) -> dict[bytes, bytes]:
    """First occurrence of every parameter name in a raw query string; values percent-decoded, names as written.

    A further ``?`` separates like ``&``: platforms that append ``?gclid=…`` to a URL that has a query already write one.
    """
    found: dict[bytes, bytes] = {}
    for pair in query.replace(b"?", b"&").split(b"&"):
        name, _, value = pair.partition(b"=")
        if name and name not in found:
            found[name] = percent_decode(value)
    return found


def nonzero_hex(value: bytes) -> str:
    """Lower-case hex of an ID; all zeros becomes 1, because W3C Trace Context forbids the zero ID."""
    return value.hex() if any(value) else "1".zfill(2 * len(value))


def derive(name: str, value: bytes) -> str:
    """The click ID of one platform ID: the first 16 bytes of SHA-256 over ``<name>:<value>``; all zeros becomes 1."""
    return nonzero_hex(sha256(name.encode() + b":" + value).digest()[:16])


def derive_from_values(values: dict[bytes, bytes]) -> tuple[str, str] | None:
    """(click ID, parameter name) from the first usable platform ID in the order of precedence, else None."""
    for name, key in _NAMES:
        value = values.get(key)
        if value is not None and usable(value):
            return derive(name, value), name
    return None


def derive_from_query(query: bytes) -> tuple[str, str] | None:
    """(click ID, parameter name) derived from a raw query string, else None."""
    return derive_from_values(first_values(query))


def random_click_id() -> str:
    """16 random bytes as hex."""
    return nonzero_hex(os.urandom(16))


def root_span_id(click_id: str) -> str:
    """First 8 bytes of SHA-256 over ``root:<click id>``: whoever knows the click ID can name its parent span."""
    return nonzero_hex(sha256(b"root:" + click_id.encode()).digest()[:8])


def is_click_id(text: str) -> bool:
    """True for 32 lower-case hex digits that are not all zero."""
    return len(text) == 32 and text != _NO_ID and not text.strip("0123456789abcdef")


def qualified(platform: str, account: str, identifier: str) -> str:
    """A campaign, ad group or creative ID as ``<platform>:<account>:<id>``."""
    return f"{platform}:{account}:{identifier}"


def is_qualified(identifier: str) -> bool:
    """True when all three parts of ``<platform>:<account>:<id>`` are there."""
    parts = identifier.split(":")
    return len(parts) == 3 and all(parts)


def split_qualified(identifier: str) -> tuple[str, str, str]:
    """(platform, account, id).

    Raises:
        ValueError: the identifier is not qualified; an action must refuse it.
    """
    if not is_qualified(identifier):
        raise ValueError(f"{identifier!r} is not qualified: write <platform>:<account>:<id>")
    platform, account, rest = identifier.split(":")
    return platform, account, rest
