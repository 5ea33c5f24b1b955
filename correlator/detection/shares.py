"""Leading proxies: shares that rise before conversions can tell (design §7; theory.md 2.7, "monitor leading proxies").

Seven kinds, each a number of bad ones among trials with a usual share from history. A share that falls (landings, submits, visits that
go on) is watched by its complement, so that all of them rise when something breaks. Each detector is the same mixture Shiryaev-Roberts
as for conversions, on a Bernoulli likelihood ratio; which rise counts as one depends on how far the share strays when all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from correlator.detection.sequential import EMPTY, advance, rise_log_ratios

Array = npt.NDArray[np.float64]

#: Which part of the good trials turns bad.
RISES: tuple[float, ...] = (0.02, 0.05, 0.1, 0.25, 0.5, 0.9)
#: Requests and hits come in bursts (retries, one visitor's page): counts vary about twice as much as independent ones.
DISPERSION = 2.0
#: A key without history is watched this long and often before its usual share is believed.
WARM_UP_MINUTES = 5
WARM_UP_TRIALS = 100
#: A usual share may be half as large again, but by no more than `DRIFT_MOST`, and larger by `TOLERATED_SHARE`: errors and delays drift.
TOLERATED_FACTOR = 1.5
DRIFT_MOST = 0.02
TOLERATED_SHARE = 0.005
#: So many standard deviations of its hourly values are usual, too.
TOLERATED_SPREADS = 3.0
#: Where nobody knows how far a share strays, this much more of it is tolerated.
UNKNOWN_SPREAD_SHARE = 0.02
#: A share that is this high when all is well can't say that anything broke: nothing of that kind is reported here.
HIGHEST_USUAL = 0.8
#: How far a share strays is known after a day.
LEAST_HOURS = 24


class ShareKey(NamedTuple):
    """What is counted.

    `lost` and `invalid` by campaign; `errors` and `slow` by service, route and device ('' = all devices together); `unlanded` and `bounced` by
    campaign, and with '' as subject by page (in `route`) and device; `unsubmitted` by page and device.
    """

    kind: str
    subject: str
    route: str = ""
    device: str = ""


KINDS: tuple[str, ...] = ("lost", "invalid", "errors", "slow", "unlanded", "bounced", "unsubmitted")
#: Kinds whose route is a page that clicks lead to, and whose subject is a campaign.
OF_VISITS: frozenset[str] = frozenset({"lost", "invalid", "unlanded", "bounced", "unsubmitted"})
DEVICES: frozenset[str] = frozenset({"mobile", "desktop", "tablet"})


def share_scope(key: ShareKey) -> dict[str, str]:
    """The traffic that a share stands for: dimensions and their values; {} = it names none."""
    scope: dict[str, str] = {}
    if key.kind in OF_VISITS:
        scope |= {name: value for name, value in (("campaign", key.subject), ("page", key.route)) if value}
    if key.device in DEVICES:
        scope["device"] = key.device
    return scope


def share_name(key: ShareKey) -> str:
    return "|".join(key)


class _Cell(msgspec.Struct):
    hits: float = 0.0
    trials: float = 0.0
    warm_hits: float = 0.0
    warm_trials: float = 0.0
    warm_minutes: int = 0
    log_values: list[float] = []
    volume: float = 0.0  # trials that its usual share rests on


class ShareBoard:
    """The detectors of all shares. Counts added between two steps belong to the minute that is closed next."""

    def __init__(self) -> None:
        self._cells: dict[ShareKey, _Cell] = {}

    @property
    def keys(self) -> list[ShareKey]:
        return list(self._cells)

    def add(self, key: ShareKey, *, hits: float, trials: float) -> None:
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(log_values=[float(EMPTY)] * len(RISES))
        cell.hits += hits
        cell.trials += trials

    def step(self, usual: Mapping[str, tuple[float, float]], spreads: Mapping[str, float] | None = None) -> Array:
        """Advance every share by one minute; log values of the mixture over sizes, in the order of `keys`.

        Args:
            usual: usual share and the trials it rests on, by the key's name.
            spreads: standard deviation of the share's hourly values beyond chance, by the key's name; unknown where it is missing.
        """
        cells = list(self._cells.values())
        if not cells:
            return np.zeros(0)
        known = np.asarray([self._usual(key, cell, usual) for key, cell in self._cells.items()])
        spread = np.asarray([(spreads or {}).get(share_name(key), np.nan) for key in self._cells])
        base = np.minimum(tolerated(np.nan_to_num(known, nan=0.5), spread), 0.95)
        raised = base[:, None] + (1 - base[:, None]) * np.asarray(RISES)
        hits, trials = np.asarray([c.hits for c in cells]), np.asarray([c.trials for c in cells])
        ratios = rise_log_ratios(np.minimum(hits, trials), trials, base, raised, dispersion=DISPERSION)
        values = advance(np.asarray([c.log_values for c in cells]), ratios)
        values[~(known <= HIGHEST_USUAL)] = EMPTY
        for cell, row in zip(cells, values, strict=True):
            cell.log_values = [float(v) for v in row]
            cell.hits = cell.trials = 0.0
        mixed: Array = np.logaddexp.reduce(values, axis=1) - np.log(len(RISES))
        return mixed

    def reset(self, key: ShareKey) -> None:
        if key in self._cells:
            self._cells[key].log_values = [float(EMPTY)] * len(RISES)

    def log_weights(self) -> Array:
        """Kinds that there are share the weight evenly. Half of a kind's goes to its keys by the trials they usually have, so that ten
        thousand small ones do not drown the one that most clicks go through; the other half to all of them alike. The weights sum to 1."""
        number: dict[str, int] = {}
        volume: dict[str, float] = {}
        for key, cell in self._cells.items():
            number[key.kind] = number.get(key.kind, 0) + 1
            volume[key.kind] = volume.get(key.kind, 0.0) + cell.volume
        weights = [
            (
                0.5 / number[key.kind]
                + 0.5 * (cell.volume / volume[key.kind] if volume[key.kind] else 1 / number[key.kind])
            )
            / len(number)
            for key, cell in self._cells.items()
        ]
        return np.log(np.asarray(weights, dtype=np.float64))

    def encode(self) -> bytes:
        return msgspec.msgpack.encode([(list(key), cell) for key, cell in self._cells.items()])

    def restore(self, data: bytes) -> None:
        for parts, cell in msgspec.msgpack.decode(data, type=list[tuple[list[str], _Cell]]):
            if len(cell.log_values) != len(RISES):  # kept by a release that looked for other rises
                cell.log_values = [float(EMPTY)] * len(RISES)
            self._cells[ShareKey(*parts)] = cell

    def _usual(self, key: ShareKey, cell: _Cell, usual: Mapping[str, tuple[float, float]]) -> float:
        """The usual share, or NaN while it is not known: history first, else what was seen since the key appeared."""
        learned = usual.get(share_name(key))
        if learned is not None and learned[1] >= WARM_UP_TRIALS:
            cell.volume = learned[1]
            return learned[0]
        if cell.warm_minutes < WARM_UP_MINUTES or cell.warm_trials < WARM_UP_TRIALS:
            cell.warm_minutes += 1
            cell.warm_hits += cell.hits
            cell.warm_trials += cell.trials
            return float("nan")
        return (cell.warm_hits + 0.5) / (cell.warm_trials + 1)


def tolerated(usual: Array, spread: Array) -> Array:
    """The highest share that is still nothing, of the usual shares and the spread of their hourly values (NaN: unknown)."""
    drift = (TOLERATED_FACTOR - 1) * usual
    known: Array = TOLERATED_SHARE + np.minimum(drift, DRIFT_MOST) + TOLERATED_SPREADS * np.nan_to_num(spread, nan=0.0)
    added: Array = np.where(np.isnan(spread), UNKNOWN_SPREAD_SHARE + drift, known)
    return usual + added


def hourly_spread(hits: float, trials: float, *, hours: float, scatter: float, squares: float) -> float | None:
    """Standard deviation of a share's hourly values beyond what bursty chance explains (method of moments); None from less than a day.

    Args:
        hits: bad ones of all hours; `trials` as many, good and bad.
        hours: hours with trials.
        scatter: sum over the hours of hits^2 / trials.
        squares: sum over the hours of trials^2.
    """
    room = trials - squares / trials if trials else 0.0
    if hours < LEAST_HOURS or room <= 0:
        return None
    share = hits / trials
    chance = DISPERSION * (hours - 1) * share * (1 - share)
    return float(np.sqrt(max(0.0, scatter - hits * share - chance) / room))
