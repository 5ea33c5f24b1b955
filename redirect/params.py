"""The query of a hit, read once: what it says about the click, and what is passed on to the destination.

No urlsplit and no parse_qsl: they would cost more than all the rest of a redirect together (docs/benchmarks.md).

Our own parameters (`ct_…`) speak to the redirect and are not passed on, except `ct_consent`, which the snippet must see too:

| parameter | meaning |
| --- | --- |
| `ct_campaign`, `ct_ad_group`, `ct_creative` | qualified IDs `<platform>:<account>:<id>`, filled by the platform's macros |
| `ct_keyword` | keyword as the platform reports it |
| `ct_parallel` | `1`: the platform calls the redirect in the background |
| `ct_consent` | `no`: no cookie, random click ID; `yes`: given |
| `ct_lpurl` | swallowed: some platforms insist that a template names the landing page |
| `ct_click` | swallowed: a new click gets a new ID |
| `ct_to`, `ct_exp`, `ct_sig` | a destination of the query's own, or the signature of its parameters (`redirect.signing`) |
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS, first_values, is_macro, percent_decode, usable
from core.personal import holds_email

UTM_PARAMETERS: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
#: Names that carry personal data in URLs found in the wild: never recorded, passed on only if the link says so.
PERSONAL_PARAMETERS: Final = frozenset(
    b"email e-mail e_mail mail emailaddress email_address user_email phone tel telephone mobile phone_number phonenumber "
    b"name firstname first_name fname lastname last_name lname surname fullname full_name username user_name "
    b"address street zip zipcode zip_code postcode postal_code birthday birthdate dob ssn iban password passwd".split()
)
#: The same as the last word of a longer name: `user[email]`, `billing-phone`; `email_campaign` says nothing personal.
_PERSONAL_LAST_WORDS: Final = frozenset(b"email phone telephone iban ssn password passwd birthday surname".split())
MAX_TEXT: Final = 256

_PLATFORM_ID, _UTM, _OURS, _CONSENT, _PERSONAL = range(1, 6)
_USES: Final[dict[bytes, int]] = {
    **{name.encode(): _PLATFORM_ID for name in IDENTITY_PARAMETERS + MATCH_PARAMETERS},
    **{name.encode(): _UTM for name in UTM_PARAMETERS},
    **dict.fromkeys(
        b"ct_campaign ct_ad_group ct_creative ct_keyword ct_parallel ct_lpurl ct_click ct_to ct_exp ct_sig".split(),
        _OURS,
    ),
    b"ct_consent": _CONSENT,
    **dict.fromkeys(PERSONAL_PARAMETERS, _PERSONAL),
}
#: What may stand in a query as it is (RFC 3986); everything else is percent-encoded before it enters a header line.
_SAFE: Final = bytes(range(0x61, 0x7B)) + bytes(range(0x41, 0x5B)) + b"0123456789-._~!$&'()*+,;=:@/?%"
_LONE_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NAMED: Final = re.compile(rb"[\w.~%\[\]-]+=")
_WORD_END: Final = re.compile(rb"[^a-z0-9]+")
_QUALIFIED_PARTS: Final = 3
_MEMO_SIZE: Final = 8192
#: Longer names are not remembered: the memo must stay small whatever is sent.
_MEMO_NAME_BYTES: Final = 64


class Parameters:
    """What a query says. `values` holds our own parameters, `ids` the platform's raw IDs, both percent-decoded."""

    __slots__ = ("consent", "ids", "passed", "utm", "values")

    def __init__(self) -> None:
        self.ids: dict[bytes, bytes] = {}
        self.utm: dict[str, str] = {}
        self.values: dict[bytes, bytes] = {}
        self.consent = b""
        #: Raw query to append to the destination, without a leading or trailing ``&``.
        self.passed = b""


NONE: Final = Parameters()


def read(query: bytes, *, own: frozenset[bytes], pass_personal: bool) -> Parameters:
    """Read a raw query string.

    Args:
        own: names the destination already carries, percent-decoded; the link's own value wins, so they are not passed on.
        pass_personal: pass known personal parameters on (they are never recorded).
    """
    if query.translate(None, _SAFE):
        query = _encode_unsafe(query)
    if b"%" in query:
        # Of the same meaning for whoever decodes it, and a valid URL (RFC 3986, 2.4) for whoever is strict.
        query = _LONE_PERCENT.sub(b"%25", query)
    found = Parameters()
    kept: list[bytes] = []
    if b"?" in query:
        query = repair_question_marks(query)
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        use = _USES.get(name) or (_unusual(name) if len(name) <= _MEMO_NAME_BYTES else _unusual.__wrapped__(name))
        if use:
            _note(found, name, value, use)
            if use == _OURS or (use == _PERSONAL and not pass_personal):
                continue
        # A server reads `a%62` and `ab` as one name: the link's own value must win in any spelling.
        # What has no name is noise, unless a platform ID may stand behind its "?": the page derives from it, too.
        if (name or b"?" in value) and (percent_decode(name) if b"%" in name else name) not in own:
            kept.append(pair)
    found.passed = b"&".join(kept)
    if b"?" in found.passed:
        _reread_ids(found)
    return found


def repair_question_marks(query: bytes) -> bytes:
    """``a=1?gclid=x`` as ``a=1&gclid=x``: what platforms write that append ``?…`` to a URL that has a query already.

    A ``?`` is left alone where it may be meant: behind a slash (a URL as a value, not encoded) and where no name and ``=`` follow.
    """
    repaired: list[bytes] = []
    for pair in query.split(b"&"):
        first, *parts = pair.split(b"?")
        repaired.append(first)
        for part in parts:
            if b"/" not in repaired[-1] and _NAMED.match(part):
                repaired.append(part)
            else:
                repaired[-1] += b"?" + part
    return b"&".join(repaired)


def _reread_ids(found: Parameters) -> None:
    """Identity takes every ``?`` for a separator (`core.identity`), also one that is passed on as it is: the page sees the same query."""
    for name, value in first_values(found.passed).items():
        if _USES.get(name) == _PLATFORM_ID:
            found.ids[name] = value if usable(value) else b""


def without(passed: bytes, own: frozenset[bytes]) -> bytes:
    """`Parameters.passed` less the names that a destination carries itself, where it was chosen after the query was read."""
    if not passed or not own:
        return passed
    return b"&".join(pair for pair in passed.split(b"&") if percent_decode(pair.partition(b"=")[0]) not in own)


def qualified_or(value: bytes | None, fallback: str) -> str:
    """A qualified ID from a parameter, or the fallback when it is absent, unqualified or holds an unexpanded macro."""
    if not value or len(value) > MAX_TEXT:
        return fallback
    return _qualified(value) or fallback


def is_personal(name: bytes) -> bool:
    """True for a name, percent-decoded, that says its value is personal."""
    lower = name.lower()
    return lower in PERSONAL_PARAMETERS or _WORD_END.split(lower.rstrip(b"]"))[-1] in _PERSONAL_LAST_WORDS


def text_or(value: bytes | None, fallback: str) -> str:
    """A recorded free text from a parameter, cut to 256 bytes; absent when empty, a macro, or it holds an e-mail address."""
    if not value or (len(value) > MAX_TEXT and holds_email(value.decode("utf-8", "replace"))):
        return fallback  # looked at whole: half an address is still one
    return _text(value[:MAX_TEXT]) or fallback


# Campaigns and utm values repeat from click to click: what was decided once is remembered, in bounded memory.


@lru_cache(maxsize=_MEMO_SIZE)
def _qualified(value: bytes) -> str:
    parts = value.split(b":")
    if len(parts) != _QUALIFIED_PARTS or not all(parts) or any(is_macro(part) for part in parts):
        return ""
    text = value.decode("utf-8", "replace")
    return text if text.isprintable() and not holds_email(text) else ""


@lru_cache(maxsize=_MEMO_SIZE)
def _text(value: bytes) -> str:
    text = "" if is_macro(value) else value.decode("utf-8", "replace")
    return "" if holds_email(text) else text


@lru_cache(maxsize=_MEMO_SIZE)
def _unusual(name: bytes) -> int:
    """Personal parameters and our own ones in unusual spellings (`Email`, `%65mail`, `ct%5Fclick`) must not slip through."""
    decoded = percent_decode(name)
    if is_personal(decoded):
        return _PERSONAL
    use = _USES.get(decoded, 0) if decoded is not name else 0
    return use if use in (_OURS, _CONSENT) else 0


def _note(found: Parameters, name: bytes, raw: bytes, use: int) -> None:
    """Keep the first occurrence of a parameter that says something about the click."""
    value = percent_decode(raw)
    if use == _PLATFORM_ID:
        if usable(value):
            found.ids.setdefault(name, value)
        else:
            # The first occurrence decides, even an unusable one: the snippet sees the same query and must agree.
            found.ids.setdefault(name, b"")
    elif use == _UTM:
        text = text_or(value.replace(b"+", b" "), "")
        if text:
            found.utm.setdefault(name.decode(), text)
    elif use == _OURS:
        found.values.setdefault(name, value)
    elif use == _CONSENT and not found.consent:
        found.consent = value


def _encode_unsafe(query: bytes) -> bytes:
    return b"".join(bytes((byte,)) if byte in _SAFE else b"%%%02X" % byte for byte in query)
