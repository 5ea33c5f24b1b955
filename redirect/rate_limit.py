"""Token buckets in memory: how many requests a visitor's address, and its network, may send."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from redirect.privacy import truncate

#: Seconds' worth of requests that may come at once.
BURST_S: Final = 10
_MAX_BUCKETS: Final = 65_536
_IPV6_BITS: Final = 64


class RateLimit:
    """`per_second` requests a key may send on average, ten seconds' worth at once. 0 = no limit.

    Memory stays bounded: buckets live in two generations, and when the younger one is full the older is forgotten. Who keeps sending is
    always in one of them, so a flood of new keys does not wash away what is known of a busy one.
    """

    def __init__(self, *, per_second: float) -> None:
        self._per_ms = per_second / 1000
        self._burst = max(per_second * BURST_S, 1.0)
        self._young: dict[str, tuple[float, int]] = {}
        self._old: dict[str, tuple[float, int]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def allows(self, key: str, *, now: int) -> bool:
        """Take one token of the key's bucket at `now` (ms); False when it is empty."""
        if not self._per_ms:
            return True
        bucket = self._young.get(key) or self._old.get(key) or (self._burst, now)
        tokens = min(self._burst, bucket[0] + max(0, now - bucket[1]) * self._per_ms)
        allowed = tokens >= 1
        if len(self._young) >= _MAX_BUCKETS // 2 and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = (tokens - 1 if allowed else tokens, now)
        return allowed


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


@lru_cache(maxsize=_MAX_BUCKETS)
def _keys(address: str) -> tuple[str, str]:
    """(whose address, network), ("", "") for what is no address."""
    network = truncate(address)
    if not network:
        return "", ""
    if network.endswith("/24"):
        return address.rpartition(":")[2], network
    interface = ipaddress.ip_network((address.partition("%")[0], _IPV6_BITS), strict=False)
    return str(interface), network
