"""Answers that follow from append-only tables alone: worked out again only when one of them has grown.

How many rows such a table has is known to the engine without reading any, and every new fact, restated or not, is a new row. So the question
whether an answer still holds costs milliseconds however much history there is, while the answer itself may cost a second.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

Answer = TypeVar("Answer")


class Rows(Protocol):
    """The store's reading side (`core.store.client.Store`)."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class Lasting(Generic[Answer]):
    """One answer, and of which state of its tables it is. One thread at a time."""

    def __init__(self, *tables: str) -> None:
        self._sql = "SELECT " + ", ".join(f"(SELECT count() FROM {table}) AS {table}" for table in tables)
        self._kept: tuple[Hashable, Answer] | None = None

    def answer(self, store: Rows, work_out: Callable[[], Answer], *, asked: Hashable = None) -> Answer:
        """The kept answer while no table has another number of rows and `asked` is the same, else `work_out()`.

        Args:
            asked: what else the answer depends on, a day or a setting.

        Raises:
            StoreError: the store does not answer; what is kept stays.
        """
        # Counted before the answer is worked out: what arrives in between makes it be asked again.
        state = (asked, *sorted((table, str(count)) for table, count in store.rows(self._sql)[0].items()))
        if self._kept is None or self._kept[0] != state:
            self._kept = (state, work_out())
        return self._kept[1]
