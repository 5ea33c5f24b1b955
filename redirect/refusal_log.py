"""What a worker refused or flagged, as one line of its log by word and number: a request each would let anybody fill the disk."""

from __future__ import annotations

from typing import Final

import structlog

from redirect.counters import OUTCOME_SLOT, SIGNAL_SLOT, Counters
from redirect.reasons import PARAMETER_SIGNALS, REFUSALS

log = structlog.get_logger(__name__)

#: Between two lines. The first one comes within a second.
QUIET_S: Final = 60.0
_SLOTS: Final[dict[str, int]] = {word: OUTCOME_SLOT[word] for word in REFUSALS} | {
    word: SIGNAL_SLOT[word] for word in PARAMETER_SIGNALS
}


class RefusalLog:
    """Reads the worker's counters, which the hot path keeps anyway; they go on over restarts, so what was there before is not told again."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._told = self._counted()
        self._quiet_until = 0.0

    def tell_if_due(self, now: float) -> None:
        """Log what came since the last line, `QUIET_S` after it at the earliest (`now`: monotonic seconds)."""
        if now >= self._quiet_until and self.tell():
            self._quiet_until = now + QUIET_S

    def tell(self) -> bool:
        """Log what came since the last line, now; False when there was nothing."""
        counted = self._counted()
        news = {word: number - self._told[word] for word, number in counted.items() if number != self._told[word]}
        self._told = counted
        if news:
            log.info("requests were refused or flagged", **news)
        return bool(news)

    def _counted(self) -> dict[str, int]:
        slots = self._counters.slots
        return {word: slots[slot] for word, slot in _SLOTS.items()}
