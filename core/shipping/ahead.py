"""Prepares the next range in another thread while the engine, which does not hold the interpreter, takes the present one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from core.shipping.ranges import Prepared, Range, prepare

#: Below this the hand-over costs more than it saves.
_WORTH_BYTES = 256 << 10


class Ahead:
    """Holds what was prepared ahead, at most a few ranges. Used by the shipper's thread alone."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ship-ahead")
        self._started: dict[Range, tuple[bytes, Future[Prepared]]] = {}

    def start(self, one: Range, data: bytes) -> None:
        """Begin to prepare a range that will be taken soon."""
        if len(data) >= _WORTH_BYTES and one not in self._started:
            self._started[one] = (data, self._pool.submit(prepare, one, data))

    def waiting(self, segment: str, *, start: int) -> tuple[Range, bytes] | None:
        """The range of a segment that begins there and is being prepared, so that it is not read again."""
        for one, (data, _) in self._started.items():
            if one.segment == segment and one.start == start:
                return one, data
        return None

    def clear(self) -> None:
        """Forget what was begun: it is to be read anew."""
        self._started.clear()

    def take(self, one: Range, data: bytes) -> Prepared:
        """The prepared range; what was begun for other ranges of its segment is dropped."""
        found = self._started.pop(one, None)
        for other in [other for other in self._started if other.segment == one.segment and other.start <= one.start]:
            del self._started[other]
        return found[1].result() if found else prepare(one, data)
