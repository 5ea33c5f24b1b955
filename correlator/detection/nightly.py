"""The nightly comparison of detection's running exposure with a full scan: a state that is only ever added to must be checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from core.clock import DAY_MS, HOUR_MS
from core.control.checkpoints import Checkpoints
from core.errors import StoreError
from correlator import metrics

log = structlog.get_logger(__name__)

#: The first tick after this time of day (UTC) does it: once a day, one scan of the horizon, whatever comes of it.
NIGHT_MS: Final = 3 * HOUR_MS
#: Share of clicks. A few rows may lie on the border of what was read; more than this biases what is expected.
TOLERANCE: Final = 0.01
_DAY: Final = "exposure_checked"


class NightlyCheck:
    """A further step of the correlator, after detection.

    Args:
        gap: `Detection.exposure_gap`.
        checkpoints: where the day of the last comparison is kept; a new installation has nothing to compare on its first day.
    """

    def __init__(self, gap: Callable[[], float | None], checkpoints: Checkpoints) -> None:
        self._gap = gap
        self._checkpoints = checkpoints
        self._done = -1

    def tick(self, now: int) -> None:
        """Compare when it is due; a store that does not answer is counted, and tried again the next night."""
        day = (now - NIGHT_MS) // DAY_MS
        if day <= self._done:
            return
        last = self._checkpoints.get(_DAY)
        if last is not None and int(last) < day:
            self._compare()
        self._checkpoints.put(_DAY, str(day).encode())
        self._done = day

    def _compare(self) -> None:
        try:
            gap = self._gap()
        except StoreError as error:
            metrics.EXPOSURE_CHECKS.labels("failed").inc()
            log.warning("the exposure could not be compared with a full scan", error=str(error))
            return
        if gap is None:
            return
        metrics.EXPOSURE_GAP.set(gap)
        metrics.EXPOSURE_CHECKS.labels("differs" if gap > TOLERANCE else "equal").inc()
        if gap > TOLERANCE:
            log.error(
                "the exposure differs from a full scan: expected conversions are off by as much", share=round(gap, 4)
            )
