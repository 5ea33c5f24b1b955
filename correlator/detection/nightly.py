"""The nightly comparison of detection's running exposure with a full scan: a state that is only ever added to must be checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from core.clock import DAY_MS, HOUR_MS
from core.control.checkpoints import Checkpoints
from correlator import metrics
from correlator.detection.aside import Aside, Runner, in_a_thread

log = structlog.get_logger(__name__)

#: The first tick after this time of day (UTC) does it: once a day, one scan of the horizon, whatever comes of it.
NIGHT_MS: Final = 3 * HOUR_MS
#: Share of clicks. A few rows may lie on the border of what was read; more than this biases what is expected.
TOLERANCE: Final = 0.01
_DAY: Final = "exposure_checked"


class NightlyCheck:
    """A further step of the correlator, after detection. The tick only takes a copy of the state: the scan and the comparison run beside it.

    Args:
        check: `Detection.exposure_check`.
        checkpoints: where the day of the last comparison is kept; a new installation has nothing to compare on its first day.
        aside: what runs the comparison.
    """

    def __init__(
        self, check: Callable[[], Callable[[], float] | None], checkpoints: Checkpoints, *, aside: Runner = in_a_thread
    ) -> None:
        self._check = check
        self._checkpoints = checkpoints
        self._aside: Aside[float] = Aside(aside)
        self._done = -1

    def tick(self, now: int) -> None:
        """Begin when it is due, tell of what has ended; a store that does not answer is counted, and tried again the next night."""
        self._tell()
        day = (now - NIGHT_MS) // DAY_MS
        if day <= self._done or self._aside.busy:
            return
        last = self._checkpoints.get(_DAY)
        if last is not None and int(last) < day:
            compare = self._check()
            if compare is not None:
                self._aside.begin(compare)
                self._tell()
        self._checkpoints.put(_DAY, str(day).encode())
        self._done = day

    def stop(self) -> None:
        """Wait for a comparison under way; may be called twice."""
        self._aside.stop()

    def _tell(self) -> None:
        done = self._aside.take()
        if done is None:
            return
        if done.result is None:
            metrics.EXPOSURE_CHECKS.labels("failed").inc()
            log.warning("the exposure could not be compared with a full scan", error=str(done.error))
            return
        gap = done.result
        metrics.EXPOSURE_GAP.set(gap)
        metrics.EXPOSURE_CHECKS.labels("differs" if gap > TOLERANCE else "equal").inc()
        if gap > TOLERANCE:
            log.error(
                "the exposure differs from a full scan: expected conversions are off by as much", share=round(gap, 4)
            )
