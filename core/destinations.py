"""Where a link may lead: http(s) only, no tricks, on the allow-list; checked and rendered in one normal form.

A destination is brought to its normal form first and only that form is checked, stored and sent, so no spelling can pass the check
as one host and reach the browser as another. The rules follow what browsers do with a URL (WHATWG URL standard); what they repair
silently (tabs, backslashes, numeric hosts) is refused here, because nobody writes it by accident.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import idna
import msgspec

from core.errors import Invalid
from core.identity import percent_decode

Reason = Literal[
    "destination_scheme",
    "destination_characters",
    "destination_backslash",
    "destination_credentials",
    "destination_host",
    "destination_port",
    "destination_too_long",
    "destination_reserved_parameter",
    "destination_private",
    "destination_loop",
    "destination_not_allowed",
]

MAX_URL_CHARS: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: Parameters that only the redirect may set on a destination.
RESERVED_PARAMETERS: Final = ("ct_click",)

_SCHEME = re.compile(r"(https?)://", re.IGNORECASE | re.ASCII)  # without ASCII, ſ (U+017F) would be an s
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})?")
#: Names that no public resolver answers, or that only networks of one's own use (RFC 6761, 6762, 7686, 8375, 9476, ICANN's list).
_PRIVATE_SUFFIXES = tuple(
    f".{name}"
    for name in (
        [
            "localhost",
            "localdomain",
            "local",
            "internal",
            "intranet",
            "private",
            "corp",
            "home",
            "lan",
            "home.arpa",
            "test",
            "invalid",
            "onion",
            "alt",
        ]
    )
)
#: 6to4 and Teredo carry an IPv4 address inside; the relays of 6to4 are nobody's in particular.
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")
#: The only IPv6 space that is given out to hosts (RFC 4291 §2.4). NAT64, IPv4-compatible, site-local, multicast and the rest lie
#: outside; 3fff::/20 (RFC 9637) is documentation.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
#: The interface identifier of an ISATAP address begins so and ends with an IPv4 address (RFC 5214 §6.1).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_PATH_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/%")
_QUERY_SAFE = _PATH_SAFE | {"?"}


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A URL in normal form. `path` starts with ``/``; `query` and `fragment` come without their mark."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    fragment: str = ""

    @property
    def authority(self) -> str:
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        query = f"?{self.query}" if self.query else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{self.authority}{self.path}{query}{fragment}"


def normalise(
    url: str, *, reserved: Sequence[str] = RESERVED_PARAMETERS, max_chars: int = MAX_URL_CHARS
) -> Destination:
    """Parse a URL into its normal form, which has no parameter in `reserved`.

    Raises:
        Invalid: with a `Reason` that says what is wrong with it.
    """
    _check_characters(url, max_chars=max_chars)
    match = _SCHEME.match(url)
    if match is None:
        raise _invalid("destination_scheme", "a destination starts with http:// or https://")
    scheme = match.group(1).lower()
    authority, path, query, fragment = _split(url[match.end() :])
    host, port = _host_and_port(authority, scheme)
    destination = Destination(
        scheme=scheme,
        host=host,
        port=port,
        path=_remove_dot_segments(_encode(path, _PATH_SAFE)),
        query=_encode(query, _QUERY_SAFE),
        fragment=_encode(fragment, _QUERY_SAFE),
    )
    _check_reserved(destination.query, reserved=reserved)
    if len(destination.url) > max_chars:
        raise _invalid("destination_too_long", f"a destination has at most {max_chars} characters")
    return destination


class AllowList:
    """The destinations people allow, from settings.

    An entry is a host (``shop.example``), a host with all below it (``*.shop.example``), or ``host:port``. An entry without a port
    stands for the default ports. A private or loopback host is allowed only by an exact ``host:port``. An empty list allows nothing.

    Args:
        own: the redirect's own hosts, written like entries: no destination, whatever the list says, because a link that leads to the
            redirect again can be made to go round in circles.
        setting: where the entries were written, for the refusals' sentences.
    """

    def __init__(
        self, entries: Iterable[str], *, own: Iterable[str] = (), setting: str = "redirect.allowed_destinations"
    ) -> None:
        self.setting = setting
        self._hosts: set[str] = set()
        self._suffixes: set[str] = set()
        self._exact: set[tuple[str, int]] = set()
        self._entries = tuple(entries)
        for entry in self._entries:
            self._add(entry.strip().lower())
        self._own = frozenset(place for host in own for place in _places(host.strip().lower()))

    def _add(self, entry: str) -> None:
        if entry.startswith("*."):
            self._suffixes.add("." + _normal_host(entry[2:]))
            return
        host, port = _host_of_entry(entry)
        if port:
            self._exact.add((host, port))
        else:
            self._hosts.add(host)

    def check(self, destination: Destination) -> None:
        """Raise Invalid (`destination_private`, `destination_loop` or `destination_not_allowed`) unless the destination is allowed."""
        reason = self.refusal(destination)
        if reason == "destination_private":
            raise _invalid(
                reason,
                f"{destination.host} is private: allow it as {destination.host}:{destination.port} in {self.setting}",
            )
        if reason == "destination_not_allowed":
            allowed = ", ".join(self._entries) or "empty"
            raise _invalid(reason, f"{destination.authority} is not in {self.setting} (now: {allowed})")
        if reason == "destination_loop":
            raise _invalid(
                reason, f"{destination.authority} is the redirect itself: name the page at the end of the way"
            )

    def names(self, destination: Destination) -> bool:
        """True when an entry names exactly this host and port, as private ones must be."""
        return (destination.host, destination.port) in self._exact

    @property
    def has_wildcard(self) -> bool:
        return bool(self._suffixes)

    def by_wildcard(self, destination: Destination) -> bool:
        """True when nothing but a ``*.`` entry allows this host."""
        return destination.host not in self._hosts and not self.names(destination) and self._below_a_suffix(destination)

    def _below_a_suffix(self, destination: Destination) -> bool:
        return any(destination.host.endswith(suffix) for suffix in self._suffixes)

    def refusal(self, destination: Destination) -> Reason | None:
        """Why a destination in normal form is refused, None when it is allowed."""
        if (destination.host, destination.port) in self._own:
            return "destination_loop"
        if self.names(destination):
            return None
        if is_private(destination.host):
            return "destination_private"
        by_name = destination.host in self._hosts or self._below_a_suffix(destination)
        if by_name and destination.port == DEFAULT_PORTS[destination.scheme]:
            return None
        return "destination_not_allowed"


def _host_of_entry(entry: str) -> tuple[str, int]:
    """(host in normal form, port or 0) of ``host`` or ``host:port``."""
    # An IPv6 literal without a port has no digits after its bracket.
    host, separator, port = entry.rpartition(":")
    if separator and port.isdigit() and not host.endswith(":"):
        return _normal_host(host), int(port)
    return _normal_host(entry), 0


def _places(entry: str) -> list[tuple[str, int]]:
    host, port = _host_of_entry(entry)
    return [(host, port)] if port else [(host, default) for default in DEFAULT_PORTS.values()]


def is_private(host: str) -> bool:
    """True for addresses and names that do not belong to the public Internet."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host or f".{host}".endswith(_PRIVATE_SUFFIXES)
    return not (_is_public_ipv4(address) if isinstance(address, ipaddress.IPv4Address) else _is_public_ipv6(address))


def parameter_names(query: str) -> frozenset[bytes]:
    """Names of a query's parameters, percent-decoded: a server reads `a%62` as `ab`."""
    return frozenset(percent_decode(pair.partition("=")[0].encode()) for pair in query.split("&") if pair)


def _invalid(reason: Reason, detail: str) -> Invalid:
    return Invalid(reason, detail)


def _check_characters(url: str, *, max_chars: int) -> None:
    if len(url) > max_chars:
        raise _invalid("destination_too_long", f"a destination has at most {max_chars} characters")
    if "\\" in url:
        raise _invalid("destination_backslash", "browsers read a backslash as a slash: write a slash or %5C")
    if not url.isprintable() or any(c.isspace() for c in url):
        raise _invalid("destination_characters", "control characters, blanks and invisible characters are not allowed")


def _split(rest: str) -> tuple[str, str, str, str]:
    """(authority, path, query, fragment) of what follows ``scheme://``."""
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    return authority, slash + path, query, fragment


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise _invalid("destination_credentials", "no user name or password in a destination")
    if authority.startswith("["):
        literal, bracket, rest = authority.partition("]")
        host, separator, port = literal + bracket, rest[:1], rest[1:]
        if separator not in ("", ":"):
            raise _invalid("destination_host", f"{authority!r} is no host")
    else:
        host, _, port = authority.rpartition(":") if ":" in authority else (authority, "", "")
    if not port:
        return _normal_host(host), DEFAULT_PORTS[scheme]
    if not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 65_536 or len(port) > 5:
        raise _invalid("destination_port", f"{port!r} is no port")
    return _normal_host(host), int(port)


def _normal_host(host: str) -> str:
    """Lower-case, IDNA, no trailing dot; addresses in their canonical form only."""
    if host.startswith("["):
        return _ipv6(host)
    name = _to_ascii(host).removesuffix(".")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(name) > 253:
        raise _invalid("destination_host", f"{host!r} is no host name")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # Browsers read 127.1, 0x7f.1 and 2130706433 as addresses, too: only the plain form passes.
        return _ipv4(name)
    return name


def _to_ascii(host: str) -> str:
    try:
        if not host.isascii():
            return idna.encode(host, uts46=True, transitional=False).decode().lower()
        for label in (name := host.lower()).split("."):
            if label.startswith("xn--"):
                idna.ulabel(label)  # browsers decode such a label and refuse one that stands for nothing
        return name
    except UnicodeError:
        raise _invalid("destination_host", f"{host!r} is no international host name") from None


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise _invalid("destination_host", f"{text!r} is no address in the form 192.0.2.1") from None


def _ipv6(text: str) -> str:
    try:
        if not text.endswith("]") or "%" in text:
            raise ValueError
        parsed = ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        raise _invalid("destination_host", f"{text!r} is no IPv6 address") from None
    if parsed.ipv4_mapped:
        raise _invalid("destination_host", f"write {parsed.ipv4_mapped} instead of its IPv6 form")
    return f"[{parsed.compressed}]"


def _is_public_ipv4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _RELAYS


def _is_public_ipv6(address: ipaddress.IPv6Address) -> bool:
    """Global unicast that leads to no IPv4 address of somebody's own network."""
    if not (address.is_global and address in _UNICAST) or address in _DOCUMENTATION:
        return False
    if any(address in network for network in _TUNNELS):
        return False
    inside = int(address) & 0xFFFF_FFFF
    return int(address) >> 32 & 0xFFFF_FFFF not in _ISATAP or _is_public_ipv4(ipaddress.IPv4Address(inside))


def _encode(text: str, safe: frozenset[str]) -> str:
    """Percent-encode what is not safe; valid escapes are kept in upper case, a lone ``%`` becomes ``%25``."""
    fixed = _PERCENT.sub(lambda m: m.group(0).upper() if m.group(1) else "%25", text)
    if all(c in safe for c in fixed):
        return fixed
    return "".join(c if c in safe else "".join(f"%{byte:02X}" for byte in c.encode()) for c in fixed)


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4; ``%2E`` counts as a dot, as in browsers."""
    out: list[str] = []
    segments = path.removeprefix("/").split("/")
    for index, segment in enumerate(segments):
        plain = segment.replace("%2E", ".")
        last = index == len(segments) - 1
        if plain == "..":
            if out:
                out.pop()
            if last:
                out.append("")
        elif plain == ".":
            if last:
                out.append("")
        else:
            out.append(segment)
    return "/" + "/".join(out)


def _check_reserved(query: str, *, reserved: Sequence[str]) -> None:
    taken = parameter_names(query) & {name.encode() for name in reserved}
    if taken:
        raise _invalid("destination_reserved_parameter", "ct_click is set by the redirect, not by a destination")
