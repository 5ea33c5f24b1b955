"""Signed links: what a query may say only with our signature, and how it is checked.

A link with `sign: "destination"` goes to the URL that its query gives:

    /<slug>?ct_to=<url>&ct_exp=<unix seconds>&ct_sig=<signature>

The signature is HMAC-SHA-256 over a purpose, the link's domain and slug, the destination's normal form and the expiry, so it opens one
destination on one link until one moment. It replaces nothing else: the allow-list still holds. A link with `sign: "campaign"` has
one `ct_sig` over all its campaign parameters (utm_*, ct_campaign, ct_ad_group, ct_creative, ct_keyword). They cannot lead anybody
astray, so a hit whose parameters were changed is redirected and counted all the same, and flagged.

A signature is written in base64url without padding or in hex, whole (256 bits) or its first half (128 bits). Several keys may be
known: the first signs, each of them verifies.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from core.destinations import MAX_URL_CHARS, normalise
from core.errors import Invalid
from core.identity import percent_decode
from redirect import reasons
from redirect.params import UTM_PARAMETERS, repair_question_marks
from redirect.plan import Decision, Signing, Target, ended

DESTINATION: Final = "ct_to"
EXPIRY: Final = "ct_exp"
SIGNATURE: Final = "ct_sig"
#: Names that a signature over campaign parameters covers.
CAMPAIGN_NAMES: Final = frozenset(
    (*(name.encode() for name in UTM_PARAMETERS), b"ct_campaign", b"ct_ad_group", b"ct_creative", b"ct_keyword")
)
_TO, _EXP, _SIG = DESTINATION.encode(), EXPIRY.encode(), SIGNATURE.encode()
_HALF: Final = 16
#: Length of a signature as text -> how many bytes of the digest it spells, and whether in hex.
_FORMS: Final[dict[int, tuple[int, bool]]] = {22: (_HALF, False), 43: (32, False), 32: (_HALF, True), 64: (32, True)}
#: Ten digits last until the year 2286; more would only be another spelling.
_MAX_EXPIRY_DIGITS: Final = 10
_MEMO_SIZE: Final = 4096
_SCHEDULE: Final = "schedule:"


def sign_destination(key: bytes, *, domain: str, slug: str, destination: str, expires_s: int) -> str:
    """The query string that opens `destination`, a normal form, on a link until `expires_s` (seconds since the epoch)."""
    signature = _spell(_digest(key, _destination_message(domain, slug, destination, str(expires_s))), 43)
    return f"{DESTINATION}={quote(destination, safe='')}&{EXPIRY}={expires_s}&{SIGNATURE}={signature}"


def sign_campaign(key: bytes, *, domain: str, slug: str, parameters: Mapping[str, str]) -> str:
    """The query string with these campaign parameters and their signature."""
    pairs = [(name.encode(), value.encode()) for name, value in parameters.items()]
    signature = _spell(_digest(key, _campaign_message(domain, slug, pairs)), 43)
    return (
        "".join(f"{name}={quote(value, safe='')}&" for name, value in parameters.items()) + f"{SIGNATURE}={signature}"
    )


def campaign_signal(query: bytes, signing: Signing, *, keys: Sequence[bytes]) -> str:
    """ "" when the campaign parameters of a raw query are as they were signed, else the word that flags the hit.

    Every occurrence in every spelling counts: a second `utm_source` would reach the destination, too.
    """
    signature, pairs = b"", []
    for pair in (repair_question_marks(query) if b"?" in query else query).split(b"&"):
        name, _, value = pair.partition(b"=")
        name = percent_decode(name)
        if name in CAMPAIGN_NAMES:
            pairs.append((name, percent_decode(value)))
        elif name == _SIG and not signature:
            signature = percent_decode(value)
    if not signature:
        return reasons.PARAMETERS_UNSIGNED if pairs else ""
    message = _campaign_message(signing.domain, signing.slug, pairs)
    return "" if _verified(signature, message, keys) else reasons.PARAMETERS_TAMPERED


class Signatures:
    """The keys, and the destinations that were verified with them: only what verifies is remembered, in bounded memory."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self.keys = tuple(keys)
        self._memo: dict[tuple[object, ...], Target] = {}

    def use_keys(self, keys: Iterable[bytes]) -> None:
        """Change the keys; what was verified with the old ones is forgotten."""
        keys = tuple(keys)
        if keys != self.keys:
            self.keys = keys
            self._memo = {}

    def check(
        self, present: Decision, query: bytes, values: Mapping[bytes, bytes], signing: Signing, *, now: int
    ) -> tuple[Decision, str]:
        """(where the hit goes, the word that flags it or ""): what the link wants to be signed is looked at, nothing else."""
        if signing.sign == "destination":
            return self.decide(present, values, signing, now=now), ""
        signal = campaign_signal(query, signing, keys=self.keys)
        if not signal:
            return present, ""
        *steps, end = present.trace
        return Decision(present.target, (*steps, f"{reasons.SIGNATURE}:{signal}", end)), signal

    def decide(self, present: Decision, values: Mapping[bytes, bytes], signing: Signing, *, now: int) -> Decision:
        """Replace the link's own destination by the one that the query gives and signs; a link that is closed stays closed."""
        if _TO not in values or present.target.outcome != reasons.REDIRECTED or reasons.FALLBACK in present.trace:
            return present
        target = self._target(values, signing, now=now)
        trace = tuple(entry for entry in present.trace if entry.startswith(_SCHEDULE))
        if target.outcome in reasons.SIGNATURE_REFUSALS:
            return Decision(target, (*trace, f"{reasons.SIGNATURE}:{target.outcome}", reasons.LOST))
        return ended(target, (*trace, reasons.SIGNED))

    def _target(self, values: Mapping[bytes, bytes], signing: Signing, *, now: int) -> Target:
        raw, expiry, signature = values[_TO], values.get(_EXP, b""), values.get(_SIG, b"")
        if not (expiry and signature):
            return signing.lost[reasons.SIGNATURE_MISSING]
        key = (signing.link_id, signing.version, raw, expiry, signature)
        target = self._memo.get(key)
        if target is None:
            url = _normal_form(raw)
            message = _destination_message(signing.domain, signing.slug, url, expiry.decode("latin-1"))
            if not url or not _is_expiry(expiry) or not _verified(signature, message, self.keys):
                return signing.lost[reasons.SIGNATURE_INVALID]
            target = signing.target(url)
            self._remember(key, target)
        return target if now < int(expiry) * 1000 else signing.lost[reasons.SIGNATURE_EXPIRED]

    def _remember(self, key: tuple[object, ...], target: Target) -> None:
        if len(self._memo) >= _MEMO_SIZE:
            self._memo = {}
        self._memo[key] = target


def _normal_form(raw: bytes) -> str:
    """The normal form of a destination from a query, "" when it has none: what cannot be normalised was never signed."""
    if len(raw) > MAX_URL_CHARS:
        return ""
    try:
        return normalise(raw.decode()).url
    except (Invalid, UnicodeDecodeError):
        return ""


def _is_expiry(raw: bytes) -> bool:
    return raw.isdigit() and len(raw) <= _MAX_EXPIRY_DIGITS and not raw.startswith(b"0")


def _destination_message(domain: str, slug: str, destination: str, expiry: str) -> bytes:
    # None of the fields can hold a line break, so no two sets of fields make the same message.
    return "\n".join(("clicktrace destination 1", domain, slug, destination, expiry)).encode()


def _campaign_message(domain: str, slug: str, pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(pairs)]
    return "\n".join(("clicktrace campaign 1", domain, slug, *lines)).encode()


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, sha256)


def _spell(digest: bytes, length: int) -> str:
    size, in_hex = _FORMS[length]
    part = digest[:size]
    return part.hex() if in_hex else urlsafe_b64encode(part).decode().rstrip("=")


def _verified(signature: bytes, message: bytes, keys: Sequence[bytes]) -> bool:
    """Constant time in the signature, and every key is tried. Texts are compared, so a signature has one spelling per form."""
    if len(signature) not in _FORMS:
        return False
    expected = [_spell(_digest(key, message), len(signature)).encode() for key in keys]
    return any(hmac.compare_digest(signature, one) for one in expected)
