"""Workers replaced one after the other, without a reset connection: `kill -USR2` on the supervisor, after an upgrade for example.

For each worker:

1. start a successor on the same listening socket: from its first second on both accept;
2. wait until it answers; one that dies or takes too long is given up, and its predecessor stays;
3. tell the predecessor to stop: it accepts nothing more, and every answer now says ``Connection: close`` (`redirect.server.drain`);
4. when it is gone, go on with the next worker.

Asked for again while it is under way, all workers are replaced once more afterwards: what the second upgrade brought is then in use too.

A successor counts under another number than its predecessor, because one process writes a file of counters: 0 becomes 64, and 64
becomes 0 again.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from app.children import Child, ChildSpec
from core.clock import Clock, now_ms

log = structlog.get_logger(__name__)

READY_WITHIN_S: Final = 60.0
#: As many as `redirect.workers` may be: numbers below are the workers as started, numbers above their successors.
GENERATION: Final = 64


def successor_of(spec: ChildSpec) -> ChildSpec:
    """The same worker under its other number."""
    index = spec.assignment.index
    other = index - GENERATION if index >= GENERATION else index + GENERATION
    assignment = msgspec.structs.replace(spec.assignment, index=other)
    return msgspec.structs.replace(spec, name=f"redirect-{other}", assignment=assignment)


class Replacement:
    """What is being replaced. `step` is called again and again, blocks nowhere, and changes the supervisor's list of children.

    Args:
        is_ready: True when the child, started at that time (ms), answers requests.
        stop_within_s: a predecessor that has not stopped after this is killed.
    """

    def __init__(
        self,
        *,
        is_ready: Callable[[Child, int], bool],
        stop_within_s: float,
        make: Callable[[ChildSpec], Child] = Child,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = now_ms,
    ) -> None:
        self._clock = clock
        self._is_ready = is_ready
        self._stop_within_s = stop_within_s
        self._make = make
        self._monotonic = monotonic
        self._asked = False
        self._queue: deque[Child] = deque()
        self._successor: Child | None = None
        self._leaving: Child | None = None
        self._deadline = 0.0
        self._since = 0

    @property
    def under_way(self) -> bool:
        return bool(self._asked or self._queue or self._successor or self._leaving)

    def ask(self) -> None:
        """Replace every redirect worker, now or when the replacement that is under way has ended."""
        self._asked = True

    def step(self, children: list[Child]) -> bool:
        """Go on as far as possible; True when `children` changed."""
        if self._leaving is not None:
            self._see_off(self._leaving)
        elif self._successor is not None:
            return self._hand_over(self._successor, children)
        elif self._queue:
            self._successor = self._make(successor_of(self._queue[0].spec))
            self._since = self._clock()
            self._successor.start()
            self._deadline = self._monotonic() + READY_WITHIN_S
        elif self._asked:
            self._asked = False
            self._queue.extend(child for child in children if child.spec.assignment.role == "redirect")
        return False

    def others(self) -> list[Child]:
        """Processes that are in nobody's list: the successor that is not ready yet, the predecessor that is leaving."""
        return [child for child in (self._successor, self._leaving) if child is not None]

    def _hand_over(self, successor: Child, children: list[Child]) -> bool:
        code = successor.reap()
        if code is not None or self._monotonic() > self._deadline:
            log.error(
                "a successor did not become ready: its predecessor stays", child=successor.spec.name, exit_code=code
            )
            successor.kill()
            self._successor = None
            self._queue.clear()
            return False
        if not self._is_ready(successor, self._since):
            return False
        former = self._queue.popleft()
        children[children.index(former)] = successor
        former.signal(signal.SIGTERM)
        self._successor, self._leaving = None, former
        self._deadline = self._monotonic() + self._stop_within_s
        log.info("replaced", child=former.spec.name, by=successor.spec.name)
        return True

    def _see_off(self, leaving: Child) -> None:
        if leaving.wait(0):
            self._leaving = None
        elif self._monotonic() > self._deadline:
            leaving.kill()
            self._leaving = None
