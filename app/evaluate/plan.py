"""How much is evaluated, on which seeds, and what pieces of work that makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from app.evaluate.tasks import STRESSES
from core.errors import Invalid

#: Seeds below this number were used while the simulator and the detector were written; nothing is reported on them.
FIRST_REPORTED_SEED: Final = 1000
DROPS: Final = (0.2, 0.3, 0.5, 0.8)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a run. A fleet is one seed."""

    seeds: list[int]
    ideal_clicks: list[int]
    ideal_months: int
    ideal_runs: int
    drops: tuple[float, ...] = DROPS
    campaigns: int = 20
    days: int
    incidents: int  # per fleet
    stress_fleets: int
    stress_days: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work: `name` in `tasks.TASKS`, its arguments, and whether it needs the thresholds that the clean ones give."""

    name: str
    arguments: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.name} {msgspec.json.encode(self.arguments, order='sorted').decode()}"


QUICK: Final = Plan(
    seeds=[1000, 1001],
    ideal_clicks=[100],
    ideal_months=12,
    ideal_runs=60,
    campaigns=10,
    days=3,
    incidents=8,
    stress_fleets=0,
    stress_days=0,
)
FULL: Final = Plan(
    seeds=list(range(1000, 1025)),
    ideal_clicks=[10, 100, 1000],
    ideal_months=60,
    ideal_runs=300,
    days=30,
    incidents=80,
    stress_fleets=2,
    stress_days=15,
)
#: Months of the idealised world in one task, so that a run that was stopped loses little.
MONTHS_AT_ONCE: Final = 12


def seeds_of(text: str) -> list[int]:
    """ "1000-1024", "7" or "1000,1003-1005".

    Raises:
        Invalid: the text names no seeds.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise Invalid("seeds_unreadable", f"{text!r}: say 1000-1100, or 1000,1005")
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise Invalid("seeds_unreadable", f"{text!r} names no seed: the first must not be greater than the last")
    return found


def clean_tasks(plan: Plan) -> list[Task]:
    """What is healthy: first, because the rules' thresholds come from it. The longest pieces come first."""
    tasks = [
        Task(name="clean", arguments={"seed": seed, "days": plan.days, "campaigns": plan.campaigns})
        for seed in plan.seeds
        if plan.days
    ]
    tasks += [
        Task(
            name="clean",
            arguments={"seed": seed, "days": plan.stress_days, "campaigns": plan.campaigns, "stress": stress},
        )
        for stress in STRESSES
        for seed in plan.seeds[: plan.stress_fleets]
    ]
    for clicks in plan.ideal_clicks:
        for part, since in enumerate(range(0, plan.ideal_months, MONTHS_AT_ONCE)):
            months = min(MONTHS_AT_ONCE, plan.ideal_months - since)
            tasks.append(
                Task(
                    name="ideal_clean",
                    arguments={"seed": plan.seeds[0] + 10_000 * part, "clicks": clicks, "months": months},
                )
            )
    return tasks


def incident_tasks(plan: Plan) -> list[Task]:
    """What breaks."""
    tasks = [
        Task(
            name="ideal_drop",
            arguments={"seed": plan.seeds[0], "clicks": clicks, "drop": drop, "runs": plan.ideal_runs},
        )
        for clicks in plan.ideal_clicks
        for drop in plan.drops
    ]
    return tasks + [
        Task(name="incident", arguments={"seed": seed, "number": number, "campaigns": plan.campaigns})
        for seed in plan.seeds
        for number in range(plan.incidents)
    ]


def chosen(tasks: Sequence[Task], results: Mapping[str, Any], name: str, **arguments: Any) -> list[dict[str, Any]]:
    """Results of the tasks of that name with those arguments."""
    return [
        results[task.key]
        for task in tasks
        if task.name == name
        and task.key in results
        and all(task.arguments.get(field) == value for field, value in arguments.items())
    ]
