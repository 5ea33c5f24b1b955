"""What a run comes to: the closing table, the figures for --json, and whether it went as expected."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from app.demo.checker import differences, main_incident
from app.demo.truth import Truth
from app.demo.watch import Observed

#: Without a monitor somebody looks at the figures in the morning.
MORNING_HOUR = 9
HOUR_MS = 3_600_000


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, money in the world's currency; None = did not happen."""

    scenario: str
    seed: int
    as_expected: bool
    differences: list[str]
    verdict: str
    ready_s: float
    detect_s: float | None
    judge_s: float | None
    ask_s: float | None
    act_s: float | None
    recover_s: float | None
    lost: float
    lost_per_hour: float
    saved_until_morning: float
    wasted_per_hour_said: float
    counts: dict[str, int]
    steps: dict[str, float]
    #: Cores that each process used on average while visitors came.
    cores: dict[str, float]


def outcome_of(truth: Truth, observed: Observed) -> Outcome:
    found = differences(truth, observed)
    incident = main_incident(truth.plan.expected, observed, since=truth.onset)
    paused = [at for action in observed.actions.values() if (at := action.states.get("paused"))]
    asked = [min(action.states.values()) for action in observed.actions.values() if "awaiting" in action.states]
    lost, per_hour = lost_money(truth)
    cost: dict[str, Any] = incident.at_worst["cost"] if incident else {}
    return Outcome(
        scenario=truth.plan.scenario,
        seed=truth.plan.seed,
        as_expected=not found,
        differences=found,
        verdict=incident.verdict if incident else "",
        ready_s=round(sum(truth.seconds.values()), 1),
        detect_s=_since(truth.onset, incident.first_seen if incident else 0),
        judge_s=_since(truth.onset, incident.verdict_since if incident else 0),
        ask_s=_since(truth.onset, min(asked, default=0)),
        act_s=_since(truth.onset, max(paused, default=0)),
        recover_s=_since(truth.fixed, incident.recovered_at if incident else 0),
        lost=round(lost, 2),
        lost_per_hour=round(per_hour, 2),
        saved_until_morning=round(max(0.0, per_hour * hours_until_morning(truth.onset) - lost), 2),
        wasted_per_hour_said=round(cost.get("wasted_per_hour_micros", 0) / 1e6, 2),
        counts=truth.counts_at_end,
        steps=truth.seconds,
        cores=_cores(truth),
    )


def _cores(truth: Truth) -> dict[str, float]:
    lived_s = max(1.0, (truth.ended - truth.doors_open) / 1000)
    used = {name: truth.cpu_at_end.get(name, 0.0) - before for name, before in truth.cpu_at_start.items()}
    return {name: round(seconds / lived_s, 3) for name, seconds in used.items()}


def lost_money(truth: Truth) -> tuple[float, float]:
    """(ad money behind the orders that were lost since the onset, the same per hour while nobody had acted)."""
    stopped = truth.acted or truth.fixed or truth.ended
    at_stop = truth.counts_at_action if truth.acted else truth.counts_at_end
    before = truth.counts_at_onset.get("wasted_micros", 0)
    lost = (truth.counts_at_end.get("wasted_micros", 0) - before) / 1e6
    while_running = (at_stop.get("wasted_micros", 0) - before) / 1e6
    hours = (stopped - truth.onset) / HOUR_MS if truth.onset else 0.0
    return lost, while_running / hours if hours > 0 else 0.0


def hours_until_morning(onset_ms: int) -> float:
    """Hours from the onset to the next 09:00 of the local clock."""
    onset = datetime.fromtimestamp(onset_ms / 1000).astimezone()
    morning = onset.replace(hour=MORNING_HOUR, minute=0, second=0, microsecond=0)
    if morning <= onset:
        morning += timedelta(days=1)
    return (morning - onset).total_seconds() / 3600


def _since(start: int, at: int) -> float | None:
    return round((at - start) / 1000, 1) if start and at else None


def closing_rows(outcome: Outcome) -> list[tuple[str, str]]:
    """The closing table."""
    rows = [
        ("ready after the start", _seconds(outcome.ready_s)),
        ("time to detect", _seconds(outcome.detect_s)),
        ("time to the question", _seconds(outcome.ask_s)),
        ("time to act (last campaign paused)", _seconds(outcome.act_s)),
        ("recovery noticed after the fix", _seconds(outcome.recover_s)),
    ]
    if outcome.verdict:
        rows += [
            ("ad money lost", f"${outcome.lost:,.2f}"),
            ("lost per hour while nobody acted", f"${outcome.lost_per_hour:,.2f}"),
            ("… as the product put it", f"${outcome.wasted_per_hour_said:,.2f}"),
            ("saved against doing nothing until 09:00", f"${outcome.saved_until_morning:,.2f}"),
        ]
    return [(name, value) for name, value in rows if value != "-"]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{int(value) // 60}:{int(value) % 60:02d} min"
