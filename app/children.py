"""A supervised process: started with its assignment, watched, restarted with back-off, stopped within a bound."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import structlog

from app.lifecycle import Assignment, send_assignment

log = structlog.get_logger(__name__)

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 10.0
#: A child that lived this long was healthy: its next death starts the back-off anew.
HEALTHY_AFTER_S = 30.0


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: the module to start, what it is told, and in which order it stops (lower first)."""

    name: str
    module: str
    assignment: Assignment
    stop_order: int = 0


def restart_delay_s(quick_deaths: int) -> float:
    """Seconds to wait before a restart: none after the first death, then doubling from 0.1 s up to 10 s."""
    if quick_deaths <= 1:
        return 0.0
    return float(min(FIRST_DELAY_S * 2 ** (quick_deaths - 2), LONGEST_DELAY_S))


class Child:
    """One supervised process and its history."""

    def __init__(self, spec: ChildSpec, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        self.restarts = 0
        self.restart_at: float | None = None
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._quick_deaths = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process and hand it its assignment."""
        self.restart_at = None
        self._started_at = self._monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.spec.module],
            stdin=subprocess.PIPE,
            pass_fds=tuple(self.spec.assignment.sockets.values()),
            # A group of its own: Ctrl-C in a terminal reaches the supervisor only, which then stops its children in order.
            process_group=0,
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died already; `reap` will see it
            send_assignment(self._process.stdin, self.spec.assignment)

    def reap(self) -> int | None:
        """The exit code when the process has ended since the last call, else None; sets `restart_at`."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._forget()
        now = self._monotonic()
        healthy = now - self._started_at >= HEALTHY_AFTER_S
        self._quick_deaths = 1 if healthy else self._quick_deaths + 1
        self.restarts += 1
        self.restart_at = now + restart_delay_s(self._quick_deaths)
        return code

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """True when the process has ended within the time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._forget()
        return True

    def kill(self) -> None:
        if self._process is not None:
            log.warning("did not stop in time: killed", child=self.spec.name, pid=self._process.pid)
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process = None
