"""Answers that take long, kept for a moment: the further pages of a report are pages of the one whose first page was read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

Answer = TypeVar("Answer")
#: Whoever reads page by page asks for the next one sooner than this.
KEPT_MS: Final = 60_000
#: As many questions may be read page by page at a time; a further one drops the oldest, whose reader waits once more.
MOST: Final = 4


class KeptAnswers(Generic[Answer]):
    """The last answers by question. A first page is always worked out anew, so nobody is shown what was true a minute ago."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[int, Answer]] = {}
        self._lock = threading.Lock()

    def answer(self, asked: Hashable, work_out: Callable[[], Answer], *, now: int, further: bool) -> Answer:
        """The answer to `asked`: for a further page the kept one, else `work_out()`; `now` in ms."""
        with self._lock:
            kept = self._kept.get(asked)
        if further and kept is not None and now - kept[0] < KEPT_MS:
            return kept[1]
        found = work_out()
        with self._lock:
            self._kept.pop(asked, None)
            self._kept[asked] = (now, found)
            for oldest in list(self._kept)[:-MOST]:
                del self._kept[oldest]
        return found
