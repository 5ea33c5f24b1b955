"""Keeps our visits of pages out of private networks (SSRF): where they may connect, decided before every hop.

A destination is written by people and redirects are written by strangers, so neither may choose what this machine talks to:

1. the URL is brought to the normal form of `core.destinations`: http(s), no credentials, no numeric or mapped spelling of an address;
2. the port is the scheme's own, unless `host:port` stands exactly so on the allow-list;
3. the name is resolved once, and *all* its addresses must be public; with an exact entry private ones may be, never link-local or metadata ones;
4. the connection goes to the address that was checked, not to the name: a second answer of the name server cannot lead elsewhere.

No proxy, credential or certificate setting of the environment is used (`core.visits.visit`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal
from urllib.parse import quote, urljoin

import msgspec

from core.destinations import DEFAULT_PORTS, AllowList, Destination, is_private, normalise
from core.errors import Invalid, Refusal

GuardReason = Literal["hop_malformed", "hop_port", "hop_address", "hop_unresolved"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: (host, port) -> addresses as text, in the order in which to try them. Raises OSError when there is none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

#: Other people's redirects are longer than our destinations, and ours grow by `ct_click`.
MAX_HOP_CHARS: Final = 8_192
#: A thread for each look there may be: a name server that hangs must not keep other names waiting. Not the event loop's own threads,
#: for which a round would wait at its end.
_RESOLVING: Final = ThreadPoolExecutor(max_workers=64, thread_name_prefix="visit-resolve")
#: What an exact entry may open besides public addresses. Link-local ones are not among them: clouds hand out credentials there.
_OWN_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
_METADATA: Final = ipaddress.IPv6Network("fd00:ec2::/32")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: What servers write into Location although it should be percent-encoded; everything else is for the normal form to judge.
_LOCATION_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F))


class HopRefused(Refusal):
    """A hop that is not taken. `reason` is a `GuardReason`."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect for one hop: the checked addresses, and the name for Host and SNI."""

    destination: Destination
    addresses: tuple[str, ...]

    def url_at(self, address: str) -> str:
        """The hop's URL with the checked address in the place of the name: nothing is left to resolve."""
        literal = f"[{address}]" if ":" in address else address
        authority = f"{literal}:{self.destination.port}"
        query = f"?{self.destination.query}" if self.destination.query else ""
        return f"{self.destination.scheme}://{authority}{self.destination.path}{query}"


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses that this machine's resolver gives, IPv4 first: a broken IPv6 route is not the destination's fault."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVING, look_up)
    ordered = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    return list(dict.fromkeys(str(each[4][0]) for each in ordered))


class Guard:
    """Admits hops.

    Args:
        allowed: entries of the setting that allows visits.
        resolve: another resolver than the system's.
    """

    def __init__(self, allowed: AllowList, *, resolve: Resolve = system_resolver) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def admit(self, url: str) -> Target:
        """Where a URL leads, checked.

        Raises:
            HopRefused: with the word of the rule it breaks.
        """
        destination = parse_hop(url)
        exact = self._allowed.names(destination)
        if not exact and destination.port != DEFAULT_PORTS[destination.scheme]:
            raise _refused(
                "hop_port", f"port {destination.port} of {destination.host} is not in {self._allowed.setting}"
            )
        addresses = await self._addresses(destination)
        for address in addresses:
            if not may_connect(address, private=exact):
                raise _refused("hop_address", f"{destination.host} is {address}, which is not public")
        return Target(destination=destination, addresses=tuple(str(address) for address in addresses))

    async def _addresses(self, destination: Destination) -> list[Address]:
        try:
            answers = await self._resolve(destination.host.strip("[]"), destination.port)
            # A scope (%eth0) names an interface: only link-local addresses have one.
            found = [ipaddress.ip_address(answer.partition("%")[0]) for answer in answers]
        except (OSError, ValueError, UnicodeError) as error:
            raise _refused("hop_unresolved", f"{destination.host} has no address: {error}") from None
        if not found:
            raise _refused("hop_unresolved", f"{destination.host} has no address")
        return found


def parse_hop(url: str) -> Destination:
    """A hop's URL in normal form.

    Raises:
        HopRefused: `hop_malformed`, with what `core.destinations` says of it.
    """
    try:
        return normalise(url, reserved=(), max_chars=MAX_HOP_CHARS)
    except Invalid as error:
        raise _refused("hop_malformed", f"{url[:200]!r}: {error.detail}") from None


def next_url(current: str, location: str) -> str:
    """Where a Location header leads from here; without its fragment, which browsers keep to themselves."""
    return urljoin(current, quote(location.strip(), safe=_LOCATION_SAFE)).partition("#")[0]


def may_connect(address: Address, *, private: bool) -> bool:
    """Whether an address may be connected to; `private` = its host and port are allowed exactly."""
    address = _plain(address)
    if not is_private(str(address)):
        return True
    own = any(address in network for network in _OWN_NETWORKS if network.version == address.version)
    return private and own and not (address.version == 6 and address in _METADATA)


def _plain(address: Address) -> Address:
    """The IPv4 address that a mapped or NAT64 address stands for: the connection ends there."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _refused(reason: GuardReason, detail: str) -> HopRefused:
    return HopRefused(reason, detail)
