"""One tick of the correlator: the steps in order, whatever works on their results (detection), then the steps that can wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from core.clock import Clock, now_ms
from core.control.checkpoints import Checkpoints
from core.store.client import Store
from correlator import metrics
from correlator.arrivals import Arrivals, Front
from correlator.config import CorrelatorConfig
from correlator.learned import DailyLearning
from correlator.steps import LATER_STEPS, STEPS, Journal, Step, Work

#: A step of another module that runs after ours on the same tick, by name.
Further = tuple[str, Callable[[int], object]]


class Correlator:
    """Runs the steps on what is new. One instance, one thread; a tick that fails is repeated by the next."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        checkpoints: Checkpoints,
        *,
        config: CorrelatorConfig,
        clock: Clock = now_ms,
        steps: Sequence[Step] = STEPS,
        later: Sequence[Step] = LATER_STEPS,
        further: Sequence[Further] = (),
        shipped_through: Callable[[int], int] = lambda now: now,
    ) -> None:
        self._store = store
        self._journal = journal
        self._config = config
        self._clock = clock
        self._steps, self._later = steps, later
        self._further = further
        self._shipped_through = shipped_through
        self._worked_through = 0
        self._ran: dict[str, int] = {}
        self._arrivals = Arrivals(store, checkpoints)
        self._learning = DailyLearning(store)

    def tick(self, now: int | None = None) -> dict[str, float]:
        """Run every step once; seconds by step.

        A step that fails ends the tick, because the later ones would work on half of its result.
        """
        at = self._clock() if now is None else now
        shipped = self._shipped_through(at)  # asked first: what is shipped from here on may not be seen by this tick
        front = self._arrivals.front()
        seconds = {step.name: self._run(step, front, now=at) for step in self._steps}
        # Before anything is answered as of today: what the days so far teach belongs to the answer.
        with _measured("learning") as took:
            self._learning.tick(shipped)
        seconds["learning"] = took()
        self._worked_through = shipped
        for name, work in self._further:
            with _measured(name) as took:
                work(at)
            seconds[name] = took()
        seconds.update({step.name: self._run(step, front, now=at) for step in self._later})
        metrics.LAST_TICK.set(at / 1000)
        return seconds

    def worked_through(self, now: int) -> int:
        """The `known_at` (ms) up to which everything journaled is in the derived tables, too; 0 before the first tick.

        An as-of answer reads them, so it waits for this, not only for `Shipper.shipped_through`.
        """
        return min(self._worked_through, now)

    def _run(self, step: Step, front: Front, *, now: int) -> float:
        with _measured(step.name) as took:
            rules = step.rules(self._config)
            since = self._arrivals.since(step.name, front, rules=rules)
            if (since is not None or step.timed) and self._is_due(step, now=now):
                rows = step.run(self._work(front.read_at if since is None else since, now=now))
                metrics.STEP_ROWS.labels(step.name).inc(rows)
                self._arrivals.looked(step.name, front, rules=rules)
        return took()

    def _is_due(self, step: Step, *, now: int) -> bool:
        """Whether a step that need not run at every tick has rested long enough; a start counts as a run, so that it is not slowed."""
        last = self._ran.setdefault(step.name, now)
        rests = 0 <= now - last < step.every_ms  # a clock that went back holds nothing up
        if not rests:
            self._ran[step.name] = now
        return not rests

    def _work(self, since: int, *, now: int) -> Work:
        return Work(store=self._store, journal=self._journal, config=self._config, since=since, now=now)


@contextmanager
def _measured(step: str) -> Iterator[Callable[[], float]]:
    """Time what runs inside under the step's name; failures are counted and go on."""
    started = time.monotonic()
    try:
        yield lambda: time.monotonic() - started
    except Exception:  # counted here, handled by whoever runs the tick
        metrics.STEP_FAILURES.labels(step).inc()
        raise
    finally:
        metrics.STEP_SECONDS.labels(step).observe(time.monotonic() - started)
