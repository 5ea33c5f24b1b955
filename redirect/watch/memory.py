"""What the watch remembers of each URL, in the control database: the newest look, its findings, and what is expected."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Engine, Row, delete, select, update

from core.control.tables import watched_destinations as table
from core.control.upsert import upsert
from redirect.watch.check import Baseline, Finding, Observation, State, state_of

#: No live link leads there any more. What was accepted is kept for a while, in case one does again.
UNUSED = "unused"
_AT_ONCE = 500


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """One URL as it was looked at last."""

    url: str
    seen: Observation
    findings: tuple[Finding, ...]
    baseline: Baseline | None
    state: State
    checked_at: int


class Memory:
    """Reads and writes what is remembered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self) -> dict[str, Remembered]:
        """Everything about URLs in use."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).where(table.c.state != UNUSED)).all()
        return {row.url: _from_row(row) for row in rows}

    def find(self, urls: Collection[str]) -> dict[str, Remembered]:
        """What is remembered of these, whether they are in use or not."""
        keys = [_key(url) for url in urls]
        found: dict[str, Remembered] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                query = select(table).where(table.c.url_sha256.in_(keys[start : start + _AT_ONCE]))
                found.update((row.url, _from_row(row)) for row in connection.execute(query))
        return found

    def save(self, news: Iterable[Remembered]) -> None:
        with self._engine.begin() as connection:
            for each in news:
                upsert(connection, table, _to_row(each))

    def retire(self, urls: Iterable[str], *, forget_before: int) -> None:
        """Mark URLs as unused, and forget those that were not looked at since `forget_before`."""
        with self._engine.begin() as connection:
            for url in urls:
                connection.execute(update(table).where(table.c.url_sha256 == _key(url)).values(state=UNUSED))
            connection.execute(delete(table).where(table.c.state == UNUSED, table.c.checked_at < forget_before))


def _key(url: str) -> str:
    return sha256(url.encode()).hexdigest()


def _to_row(each: Remembered) -> dict[str, Any]:
    return {
        "url_sha256": _key(each.url),
        "url": each.url,
        "state": each.state,
        "seen": msgspec.to_builtins(each.seen),
        "findings": msgspec.to_builtins(each.findings),
        "baseline": msgspec.to_builtins(each.baseline) if each.baseline else None,
        "checked_at": each.checked_at,
    }


def _from_row(row: Row[Any]) -> Remembered:
    findings = msgspec.convert(row.findings, tuple[Finding, ...])
    return Remembered(
        url=row.url,
        seen=msgspec.convert(row.seen, Observation),
        findings=findings,
        baseline=msgspec.convert(row.baseline, Baseline) if row.baseline else None,
        # An unused one is as it was when it was last used.
        state=state_of(findings),
        checked_at=row.checked_at,
    )
