"""How many hits a visitor's address, and its network, may send."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from core.rate_limit import MAX_BUCKETS, RateLimit
from redirect.privacy import truncate

_IPV6_BITS: Final = 64


class HitLimit:
    """Hits that one address and one network may send to one worker, and how many of those refused are journaled.

    An IPv6 address counts as its /64, because one customer has all of it; networks are IPv4 /24 and IPv6 /48, as they are recorded.
    """

    def __init__(self, *, per_address: float = 0.0, per_network: float = 0.0, journaled: float = 0.0) -> None:
        self.on = per_address > 0 or per_network > 0
        self._addresses = RateLimit(per_second=per_address)
        self._networks = RateLimit(per_second=per_network)
        self._journaled = RateLimit(per_second=journaled)
        self._journals = journaled > 0

    def allows(self, address: str, *, now: int) -> bool:
        """True when neither the address nor its network is over its limit; a refused hit still counts for the network."""
        subscriber, network = _keys(address)
        if not subscriber:
            return True  # no address, no visitor: a Unix socket without a proxy's header
        in_network = self._networks.allows(network, now=now)
        return self._addresses.allows(subscriber, now=now) and in_network

    def journals(self, *, now: int) -> bool:
        """True when a refused hit is recorded; the others are only counted, so that no attack fills the disk."""
        return self._journals and self._journaled.allows("", now=now)


@lru_cache(maxsize=MAX_BUCKETS)
def _keys(address: str) -> tuple[str, str]:
    """(whose address, network), ("", "") for what is no address."""
    network = truncate(address)
    if not network:
        return "", ""
    if network.endswith("/24"):
        return address.rpartition(":")[2], network
    interface = ipaddress.ip_network((address.partition("%")[0], _IPV6_BITS), strict=False)
    return str(interface), network
