"""Run something every so often in a thread of its own, with a clean, bounded stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from core.clock import Clock, now_ms

log = structlog.get_logger(__name__)


class Periodic:
    """Calls ``work(now)`` every `interval_s` seconds; an error is logged, counted and does not end the loop.

    `start` and `stop` may be called in any state and twice. A run that takes longer than the interval is followed at once by the
    next; runs never overlap.
    """

    def __init__(self, name: str, work: Callable[[int], None], *, interval_s: float, clock: Clock = now_ms) -> None:
        self.name = name
        self.failures = 0
        self.last_run_ms = 0
        self.last_duration_s = 0.0
        self._work = work
        self._interval_s = interval_s
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._loop, name=self.name, daemon=True)
            self._thread.start()

    def poke(self) -> None:
        """Run now instead of at the end of the interval."""
        self._wake.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def run_once(self) -> None:
        """One run with its bookkeeping; errors are contained."""
        started = time.monotonic()
        self.last_run_ms = self._clock()
        try:
            self._work(self.last_run_ms)
        except Exception:  # one failed run must not end the loop: it is logged, counted and tried again
            self.failures += 1
            log.exception("periodic work failed", name=self.name)
        self.last_duration_s = time.monotonic() - started

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            self.run_once()
            rest = self._interval_s - self.last_duration_s
            if rest > 0 and not self._stopping.is_set():
                self._wake.wait(rest)
