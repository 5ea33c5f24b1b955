"""A token bucket per visitor's address, in memory, for the one route that takes bodies from strangers."""

from __future__ import annotations

_MAX_BUCKETS = 65_536


class RateLimit:
    """`per_second` requests an address may send on average, ten seconds' worth at once. 0 = no limit.

    When too many addresses are known all buckets are forgotten: memory stays bounded, and a flood from many addresses is not what
    a limit per address can stop.
    """

    def __init__(self, *, per_second: float) -> None:
        self._per_ms = per_second / 1000
        self._burst = per_second * 10
        self._buckets: dict[str, tuple[float, int]] = {}

    def allows(self, address: str, *, now: int) -> bool:
        """Take one token of the address's bucket at `now` (ms); False when it is empty."""
        if not self._per_ms:
            return True
        tokens, since = self._buckets.get(address, (self._burst, now))
        tokens = min(self._burst, tokens + max(0, now - since) * self._per_ms)
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets = {}
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now)
        return allowed
