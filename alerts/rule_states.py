"""Where every rule stands for every subject, and what was told to whom: kept in the control database, so a restart tells nothing twice."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Engine, Row, delete, select

from alerts.state import RuleProgress, RuleState
from core.control.tables import rule_states
from core.control.upsert import upsert

MAX_SUBJECT = 255


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What one notifier was told last: a digest of it, and when."""

    digest: str
    at: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One rule on one subject. Labels and start are fixed by the first message."""

    rule: str
    subject: str
    progress: RuleProgress = RuleProgress()
    labels: dict[str, str] = {}
    starts_at: int = 0
    sent: dict[str, Sent] = {}
    last_window: int = 0
    hold: str = ""

    @property
    def firing(self) -> bool:
        return self.progress.state is RuleState.FIRING

    @property
    def live(self) -> bool:
        """It fires, or somebody must still be told that it does not."""
        return self.firing or bool(self.sent)


class RuleStates:
    """Reads all standings at the start of a tick and writes back those that changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self) -> dict[tuple[str, str], Standing]:
        with self._engine.connect() as connection:
            return {(row.rule, row.scope): _from_row(row) for row in connection.execute(select(rule_states))}

    def save(self, before: dict[tuple[str, str], Standing], after: dict[tuple[str, str], Standing]) -> int:
        """Write what differs; standings that are over and told are forgotten. Returns the number of rows written."""
        changed = [standing for key, standing in after.items() if before.get(key) != standing]
        if not changed:
            return 0
        with self._engine.begin() as connection:
            for standing in changed:
                if standing == Standing(rule=standing.rule, subject=standing.subject):
                    mine = (rule_states.c.rule == standing.rule) & (rule_states.c.scope == standing.subject)
                    connection.execute(delete(rule_states).where(mine))
                else:
                    upsert(connection, rule_states, _to_row(standing))
        return len(changed)


def _to_row(standing: Standing) -> dict[str, Any]:
    payload = msgspec.to_builtins(standing)
    for name in ("rule", "subject", "progress"):
        del payload[name]
    return {
        "rule": standing.rule,
        "scope": standing.subject,
        "state": str(standing.progress.state),
        "since": standing.progress.since,
        "windows": standing.progress.windows,
        "value": None,
        "payload": payload,
    }


def _from_row(row: Row[Any]) -> Standing:
    progress = RuleProgress(state=RuleState(row.state), since=row.since, windows=row.windows)
    return msgspec.convert(
        {**row.payload, "rule": row.rule, "subject": row.scope, "progress": msgspec.to_builtins(progress)}, Standing
    )
