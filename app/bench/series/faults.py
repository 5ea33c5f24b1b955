"""What goes wrong in a drawn series: each fault changes some rows and says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.bench.series.backgrounds import KINDS, Background, Floats

#: Anomalies begin after this share of the rows: a causal detector needs some past.
LEARNING: Final = 0.3
#: A fault is there when the rows it changes are together at least this far from where they were, in the noise (else nobody could see it).
VISIBLE: Final = 5.0
#: Distance to the seed that stands in for one without a visible fault.
ANOTHER: Final = 1_000_000
#: Rows between two anomalies.
APART: Final = 60


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """A series with the rows that are anomalous; `faults` are `(kind, first row, end)`."""

    kind: str
    seed: int
    times_ms: NDArray[np.int64]
    values: Floats
    trials: Floats | None
    anomalous: NDArray[np.bool_]
    faults: tuple[tuple[str, int, int], ...]


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fault goes: rows `[first, end)`, and its size in the local noise."""

    first: int
    end: int
    sign: float
    size: float


def spike(values: Floats, *, spot: Spot, background: Background) -> None:
    """One to three rows far away."""
    values[spot.first : spot.end] += spot.sign * 1.6 * spot.size * background.noise[spot.first : spot.end]


def level(values: Floats, *, spot: Spot, background: Background) -> None:
    """Another level for a while, then back."""
    values[spot.first : spot.end] += spot.sign * spot.size * 0.6 * np.median(background.noise)


def lasting(values: Floats, *, spot: Spot, background: Background) -> None:
    """Another level that stays; the label covers its beginning."""
    values[spot.first :] += spot.sign * spot.size * 0.7 * np.median(background.noise)


def noisy(values: Floats, *, spot: Spot, background: Background) -> None:
    """The same mean, several times the noise."""
    rows = spot.end - spot.first
    signs = np.where(np.sin(np.arange(rows) * 2.39996) > 0, 1.0, -1.0)
    values[spot.first : spot.end] += signs * spot.size * 0.5 * background.noise[spot.first : spot.end]


def stuck(values: Floats, *, spot: Spot, background: Background) -> None:
    """The last value repeats."""
    values[spot.first : spot.end] = values[spot.first - 1]


def outage(values: Floats, *, spot: Spot, background: Background) -> None:
    """A drop to nothing (or to the lowest value seen)."""
    values[spot.first : spot.end] = 0.0 if background.positive else float(np.min(values[: spot.first]))


def ramp(values: Floats, *, spot: Spot, background: Background) -> None:
    """A climb up to twice the size of a level shift, then back at once."""
    rise = np.linspace(0, 1, spot.end - spot.first)
    values[spot.first : spot.end] += spot.sign * spot.size * 1.2 * np.median(background.noise) * rise


def shape(values: Floats, *, spot: Spot, background: Background) -> None:
    """A season that runs backwards, at half the swing."""
    part = values[spot.first : spot.end]
    middle = float(np.median(part))
    values[spot.first : spot.end] = middle + 0.5 * (part[::-1] - middle)


Fault = Callable[..., None]
#: fault -> (how to, shortest and longest as rows; for `shape` in seasons).
FAULTS: Final[Mapping[str, tuple[Fault, int, int]]] = {
    "spike": (spike, 1, 3),
    "level": (level, 15, 120),
    "lasting": (lasting, 30, 31),
    "noisy": (noisy, 15, 80),
    "stuck": (stuck, 20, 80),
    "outage": (outage, 3, 40),
    "ramp": (ramp, 40, 150),
    "shape": (shape, 1, 2),
}
#: What can happen to which kind: a fault nobody could see is none (a queue at rest is always "stuck").
POSSIBLE: Final[Mapping[str, tuple[str, ...]]] = {
    "traffic": ("spike", "level", "lasting", "stuck", "outage", "shape", "ramp"),
    "requests": ("spike", "level", "lasting", "stuck", "outage", "ramp"),
    "processor": ("spike", "level", "lasting", "noisy", "stuck", "ramp"),
    "machine": ("spike", "lasting", "noisy", "stuck", "outage"),
    "price": ("spike", "level", "lasting", "noisy", "outage"),
    "mentions": ("spike", "level", "lasting", "stuck"),
    "synthetic": ("spike", "level", "lasting", "noisy", "stuck", "shape"),
    "latency": ("spike", "level", "lasting", "noisy", "ramp"),
    "queue": ("spike", "level", "lasting", "ramp"),
    "pulse": ("spike", "shape", "stuck", "noisy"),
    "walk": ("spike", "lasting", "noisy", "stuck"),
    "rate": ("level", "lasting", "outage"),
}


def labelled(kind: str, *, seed: int, clean: bool = False) -> Labelled:
    """A series of a kind with one to three faults (none when clean)."""
    draw = np.random.default_rng([sorted(KINDS).index(kind), seed])
    background = KINDS[kind](draw)
    values = background.values.copy()
    anomalous = np.zeros(len(values), dtype=np.bool_)
    faults = []
    for _ in range(0 if clean else int(draw.integers(1, 4))):
        name = str(draw.choice(POSSIBLE[kind]))
        spot = _spot(name, draw=draw, background=background, taken=anomalous)
        if spot is None:
            continue
        changed = values.copy()
        FAULTS[name][0](changed, spot=spot, background=background)
        if _visible(values, changed, spot=spot, background=background):
            values = changed
            anomalous[spot.first : spot.end] = True
            faults.append((name, spot.first, spot.end))
    if not clean and not faults:
        return labelled(kind, seed=seed + ANOTHER)  # nothing that could be seen: a series further on
    return _finished(
        kind, seed=seed, background=background, values=values, anomalous=anomalous, faults=faults, draw=draw
    )


def _visible(before: Floats, after: Floats, *, spot: Spot, background: Background) -> bool:
    """Whether the change stands out of the noise; values stay at or above 0 where the kind does."""
    if background.positive:
        after = np.maximum(after, 0.0)
    rows = slice(spot.first, spot.end)
    return bool(np.sum(((after - before)[rows] / background.noise[rows]) ** 2) >= VISIBLE**2)


def _spot(name: str, *, draw: np.random.Generator, background: Background, taken: NDArray[np.bool_]) -> Spot | None:
    _, shortest, longest = FAULTS[name]
    rows = int(draw.integers(shortest, longest + 1))
    if name == "shape":
        rows *= max(background.season, 20)
    if background.season > 60 and name in ("level", "stuck", "ramp"):
        rows = rows * 2
    lowest, highest = int(LEARNING * len(taken)), len(taken) - rows - APART
    for _ in range(50):
        first = int(draw.integers(lowest, highest))
        if not taken[max(0, first - APART) : first + rows + APART].any():
            return Spot(
                first=first,
                end=first + rows,
                sign=float(draw.choice([-1.0, 1.0])),
                size=float(draw.uniform(4, 10)),
            )
    return None


def _finished(
    kind: str,
    *,
    seed: int,
    background: Background,
    values: Floats,
    anomalous: NDArray[np.bool_],
    faults: list[tuple[str, int, int]],
    draw: np.random.Generator,
) -> Labelled:
    """Values in their range; a rate becomes the successes that are drawn from it."""
    if background.positive:
        values = np.maximum(values, 0.0)
    if background.trials is not None:
        values = draw.binomial(background.trials.astype(np.int64), np.clip(values, 0, 1)).astype(np.float64)
    elif kind in ("traffic", "requests", "mentions", "queue"):
        values = np.round(values)
    return Labelled(
        kind=kind,
        seed=seed,
        times_ms=background.times_ms,
        values=values,
        trials=background.trials,
        anomalous=anomalous,
        faults=tuple(faults),
    )
