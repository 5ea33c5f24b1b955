"""Token buckets in memory: how many requests an address, a network, a sender may send."""

from __future__ import annotations

from typing import Final

#: Seconds' worth of requests that may come at once.
BURST_S: Final = 10
MAX_BUCKETS: Final = 65_536


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
        if len(self._young) >= MAX_BUCKETS // 2 and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = (tokens - 1 if allowed else tokens, now)
        return allowed
