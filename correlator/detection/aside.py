"""Work beside the tick: one piece at a time, in a thread of its own, its result taken up when it is there.

A tick never waits for it. What it works on is given when it begins; what it answers is changed by nobody until a tick takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, Generic, NamedTuple, TypeVar

Result = TypeVar("Result")
#: Starts the work; answers how to wait for its end.
Runner = Callable[[Callable[[], None]], Callable[[float], object]]

#: Longest wait for work under way when the process ends: no query may take longer than the store's own limit.
JOIN_S = 60.0
#: One thread for good, not one for each piece: the store keeps a client for every thread that ever asked it.
_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="detection-aside")


class Done(NamedTuple, Generic[Result]):
    """Work that has ended: `result`, or the error that ended it."""

    result: Result | None
    error: Exception | None


def in_a_thread(work: Callable[[], None]) -> Callable[[float], object]:
    """Run it while ticks go on."""
    begun = _thread.submit(work)
    return lambda timeout: wait([begun], timeout)


def at_once(work: Callable[[], None]) -> Callable[[float], object]:
    """Run it here and now: for measurements and tests, where the order of things must not depend on threads."""
    work()
    return _no_wait


def _no_wait(_timeout: float) -> None:
    return None


class Aside(Generic[Result]):
    """One kind of work. `begin`, `take` and `stop` belong to the thread that ticks."""

    def __init__(self, run: Runner = in_a_thread) -> None:
        self._run = run
        self._done: Done[Result] | None = None
        self._join: Callable[[float], object] | None = None

    @property
    def busy(self) -> bool:
        """Whether work was begun whose result was not taken."""
        return self._join is not None

    def begin(self, work: Callable[[], Result]) -> None:
        """Start it. What was begun before must have been taken."""
        assert not self.busy, "one piece of work at a time"

        def finish() -> None:
            try:
                done: Done[Result] = Done(work(), None)
            except Exception as error:  # noqa: BLE001 - told to whoever takes the result
                done = Done(None, error)
            self._done = done  # one assignment: seen whole or not at all

        self._join = self._run(finish)

    def take(self) -> Done[Result] | None:
        """The end of the work, once; None while it is under way and where none was begun."""
        done = self._done
        if done is not None:  # only then: emptying it at every look could wipe out what the thread has just put there
            self._done = self._join = None
        return done

    def stop(self) -> None:
        """Wait for work under way; may be called twice."""
        if self._join is not None:
            self._join(JOIN_S)
