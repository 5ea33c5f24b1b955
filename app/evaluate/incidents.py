"""What goes wrong in the simulated world: the causes of theory.md 4.1, their sizes, shapes and scopes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from app.evaluate.segments import DEVICES, Fleet

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SIZES: Final = (0.1, 0.2, 0.3, 0.5, 0.8, 1.0)
RAMPS_MIN: Final = (0.0, 30.0, 360.0)
SHORTEST_MIN, LONGEST_MIN = 30.0, 3 * 1440.0
SCOPES: Final = ("leaf", "campaign", "device", "page", "account")


class Cause(NamedTuple):
    """How a cause shows. `law`: which clicks' conversions are lost: `arrival` (those that would happen now), `cohort` (those of new
    clicks), `hits` (the clicks themselves do not come through), `none`."""

    name: str
    law: str
    loses_sales: bool = True
    scopes: tuple[str, ...] = SCOPES
    deploy: bool = False  # a change marker belongs to it
    attempts: bool = True  # what is lost was tried: the order fails, rather than nobody ordering


CAUSES: Final = (
    Cause("bad deploy", "arrival", scopes=("page", "device", "account"), deploy=True),
    Cause("page latency", "cohort", scopes=("page", "device"), deploy=True),
    Cause("redirect failure", "hits", scopes=("campaign", "account"), deploy=True),
    Cause("form errors in one browser", "arrival", scopes=("device",), deploy=True),
    Cause("tracking outage", "arrival", loses_sales=False, scopes=("account", "page", "everything")),
    Cause("feed lag", "lag", loses_sales=False, scopes=("everything",)),
    Cause("bot traffic", "bots", loses_sales=False, scopes=("campaign",)),
    Cause("targeting change", "cohort", scopes=("campaign",)),
    Cause("stock-out", "arrival", scopes=("page",), attempts=False),
    Cause("market demand", "cohort", scopes=("everything",)),
    Cause("mix shift", "mix", loses_sales=False, scopes=("everything",)),
    Cause("innocent deploy", "none", loses_sales=False, scopes=("everything",)),
)


class Incident(NamedTuple):
    """One incident; times in minutes of the live part."""

    cause: Cause
    size: float
    onset: float
    end: float
    ramp: float
    scope: dict[str, str]
    inside: Mask  # segments

    def strength(self, minute: npt.NDArray[np.floating[Any]]) -> Array:
        """The share that is lost at a time: 0 outside, `size` after the ramp."""
        since = np.asarray(minute, dtype=np.float64) - self.onset
        grown = np.clip((since + 1e-9) / self.ramp, 0.0, 1.0) if self.ramp else np.ones_like(since)
        lost: Array = np.where((since >= 0) & (np.asarray(minute) < self.end), self.size * grown, 0.0)
        return lost


def draw_incident(fleet: Fleet, random: np.random.Generator, *, onset: tuple[float, float]) -> Incident:
    """Any cause, size, ramp, duration and scope; the onset uniform in the given range of minutes."""
    cause = CAUSES[int(random.integers(0, len(CAUSES)))]
    scope = draw_scope(fleet, random, str(random.choice(cause.scopes)))
    at = float(random.uniform(*onset))
    duration = float(np.exp(random.uniform(np.log(SHORTEST_MIN), np.log(LONGEST_MIN))))
    return Incident(
        cause=cause,
        size=float(random.choice(SIZES)),
        onset=at,
        end=at + duration,
        ramp=float(random.choice(RAMPS_MIN)),
        scope=scope,
        inside=inside(fleet, scope),
    )


def draw_scope(fleet: Fleet, random: np.random.Generator, kind: str) -> dict[str, str]:
    """A scope of that kind that has traffic: names of dimensions and their values."""
    segment = fleet.segments[int(random.integers(0, len(fleet.segments)))]
    campaign = fleet.campaigns[segment.campaign].name
    if kind == "leaf":
        return {"campaign": campaign, "device": segment.device, "page": segment.page}
    if kind == "campaign":
        return {"campaign": campaign}
    if kind == "device":
        return {"device": str(random.choice(DEVICES))}
    if kind == "page":
        return {"page": segment.page}
    if kind == "account":
        return {"account": campaign.rpartition(":")[0]}
    return {}


def inside(fleet: Fleet, scope: dict[str, str]) -> Mask:
    """Which segments a scope holds."""
    chosen = np.ones(len(fleet.segments), dtype=np.bool_)
    for name, wanted in scope.items():
        values = [_value(fleet, position, name) for position in range(len(fleet.segments))]
        chosen &= np.asarray([value == wanted for value in values], dtype=np.bool_)
    return chosen


def _value(fleet: Fleet, position: int, name: str) -> str:
    segment = fleet.segments[position]
    campaign = fleet.campaigns[segment.campaign].name
    values = {
        "campaign": campaign,
        "device": segment.device,
        "page": segment.page,
        "account": campaign.rpartition(":")[0],
    }
    return values[name]
