"""What we may keep about a visitor: consent, truncated network, keyed hash.

The full address lives only in memory while the request is handled.
"""

from __future__ import annotations

import ipaddress
from hashlib import blake2b
from typing import Final

#: `Click.consent`: "" = nothing was said, "yes", "no" (ct_consent), "gpc" (Global Privacy Control).
NOT_STATED: Final = ""
GIVEN: Final = "yes"
REFUSED: Final = "no"
REFUSED_BY_BROWSER: Final = "gpc"

CONSENT_NAME: Final = b"ct_consent"
VISITOR_COOKIE: Final = b"ct_vid"
_HEX: Final = b"0123456789abcdef"
_ID_CHARS: Final = 32
_MEMO_SIZE: Final = 65_536


def decide_consent(*, gpc: bytes, parameter: bytes, cookie: bytes) -> str:
    """One of the four words. The browser's signal outweighs what a page wrote; the parameter outweighs an older cookie."""
    if gpc.startswith(b"1"):  # sent twice it reads "1, 1"
        return REFUSED_BY_BROWSER
    said = (parameter or (cookie_value(cookie, CONSENT_NAME) if cookie else b"")).lower()
    if said == b"no":
        return REFUSED
    return GIVEN if said == b"yes" else NOT_STATED


def refused(consent: str) -> bool:
    return consent in (REFUSED, REFUSED_BY_BROWSER)


def cookie_value(cookie: bytes, name: bytes) -> bytes:
    """The first value of a cookie in a Cookie header, b"" when it is not there."""
    if name not in cookie:
        return b""
    for part in cookie.split(b";"):
        key, _, value = part.strip().partition(b"=")
        if key == name:
            return value
    return b""


def visitor_from_cookie(cookie: bytes) -> str:
    """The visitor ID of a well-formed `ct_vid` cookie, else ""."""
    value = cookie_value(cookie, VISITOR_COOKIE)
    return value.decode() if len(value) == _ID_CHARS and not value.translate(None, _HEX) else ""


def truncate(address: str) -> str:
    """IPv4 as its /24, IPv6 as its /48 (an IPv4-mapped address as IPv4); "" when it is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, bits), strict=False))


class Networks:
    """Address -> what a record says about its network, remembered for the salt's day only.

    The hash is BLAKE2b-64 over the address, keyed with the day's salt: it tells visitors of one network apart within a day and
    says nothing once the salt is destroyed. Without a salt there is none.
    """

    def __init__(self, salt: bytes = b"") -> None:
        self._salt = salt
        self._memo: dict[str, tuple[bytes, bytes]] = {}

    def use_salt(self, salt: bytes) -> None:
        """Change to another day's salt; what was hashed with the old one is forgotten."""
        if salt != self._salt:
            self._salt = salt
            self._memo = {}

    def describe(self, address: str) -> tuple[bytes, bytes]:
        """JSON members with a leading comma: (network, network and hash). Both are empty for what is no address."""
        known = self._memo.get(address)
        if known is None:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo = {}
            known = self._memo[address] = self._describe(address)
        return known

    def _describe(self, address: str) -> tuple[bytes, bytes]:
        network = truncate(address)
        if not network:
            return b"", b""
        member = b',"network":"%b"' % network.encode()
        keyed = self.hash(address)
        return member, member + b',"network_hash":"%b"' % keyed.encode() if keyed else member

    def hash(self, address: str) -> str:
        """The keyed hash of an address, "" without a salt."""
        return blake2b(address.encode(), key=self._salt, digest_size=8).hexdigest() if self._salt else ""
