"""What doors that face the Internet have in common: who calls, how often, how much, how slowly.

Everything here happens before anything is believed or looked up, so it must cost little.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from starlette.requests import ClientDisconnect, Request

from collectors.config import DoorConfig
from collectors.push.api import read_body
from core.clock import Clock
from core.errors import Forbidden, Invalid
from core.proxies import TrustedProxies
from core.rate_limit import RateLimit


class Door:
    """Used on the event loop only. One instance for all such doors, so that an address has one limit."""

    def __init__(self, config: DoorConfig, *, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._proxies = TrustedProxies(config.trusted_proxies)
        self._limit = RateLimit(per_second=config.address_requests_per_second)

    def admit(self, request: Request) -> str:
        """The caller's address, "" where there is none (a Unix socket).

        Raises:
            Invalid: `rate_limited` (429).
        """
        address = self.address(request)
        if not self._limit.allows(subscriber(address), now=self._clock()):
            raise Invalid("rate_limited", "this address sends too much: wait, and send again", status=429)
        return address

    def address(self, request: Request) -> str:
        """The caller's address, or what a proxy that we trust says it is."""
        peer = unmapped(request.client.host) if request.client else ""
        if not self._proxies.trusts(peer):
            return peer
        # A header that was sent twice counts as one list, in order (RFC 9110, 5.3).
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        return unmapped(self._proxies.visitor(forwarded.encode("latin-1", "replace"), peer=peer))

    async def body(self, request: Request, *, max_bytes: int) -> bytes:
        """The request's body, in bounded size and time.

        Raises:
            Invalid: `body_too_large` (413), `too_slow` (408), `malformed` (400) when the caller hangs up.
        """
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                return await read_body(request, max_bytes=max_bytes)
        except TimeoutError:
            raise Invalid(
                "too_slow", f"the body did not come within {self._config.body_timeout_s:g} s", status=408
            ) from None
        except ClientDisconnect:
            raise Invalid("malformed", "the connection ended within the body", status=400) from None


def subscriber(address: str) -> str:
    """Whose address it is: an IPv6 one counts as its /64, because one customer has all of it."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False).network_address)


def unmapped(address: str) -> str:
    """An IPv4 address that a dual-stack socket wrote as IPv6 (::ffff:192.0.2.1), as IPv4."""
    return address.removeprefix("::ffff:") if address.startswith("::ffff:") and "." in address else address


def require_network(address: str, networks: Sequence[str]) -> None:
    """Pass an address of one of the networks; without networks, every address.

    Raises:
        Forbidden: `forbidden_address`.
    """
    if networks and not TrustedProxies(networks).trusts(address):
        raise Forbidden("forbidden_address", "this address is not on the list of this key")
