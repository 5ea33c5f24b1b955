"""Leading failure streams: shares that rise before conversions can tell (design §7; theory.md 2.7, "monitor leading proxies").

Four kinds: hits a known link did not answer, hits that are no new human click, failed requests, slow requests. Each is a number of
hits among trials with a usual share from history; its detector is the same mixture Shiryaev-Roberts as for conversions, on a
Bernoulli likelihood ratio, for rises of a tenth to nine tenths of all trials. Smaller rises are left to the conversions: what fails
for two requests in a hundred is somebody's bug, but not this product's incident.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from correlator.detection.sequential import EMPTY, advance, rise_log_ratios

Array = npt.NDArray[np.float64]

#: Which part of the good trials turns bad.
RISES: tuple[float, ...] = (0.1, 0.25, 0.5, 0.9)
#: Requests and hits come in bursts (retries, one visitor's page): counts vary about twice as much as independent ones.
DISPERSION = 2.0
#: A key without history is watched this long and often before its usual share is believed.
WARM_UP_MINUTES = 5
WARM_UP_TRIALS = 100
#: A usual share is never believed to be smaller than this, and may be half as large again: errors and delays drift.
TOLERATED_SHARE = 0.02
TOLERATED_FACTOR = 1.5


class ShareKey(NamedTuple):
    """What is counted: `lost` and `invalid` by campaign; `errors` and `slow` by service, route and device."""

    kind: str
    subject: str
    route: str = ""
    device: str = ""


KINDS: tuple[str, ...] = ("lost", "invalid", "errors", "slow")


def share_name(key: ShareKey) -> str:
    return "|".join(key)


class _Cell(msgspec.Struct):
    hits: float = 0.0
    trials: float = 0.0
    warm_hits: float = 0.0
    warm_trials: float = 0.0
    warm_minutes: int = 0
    log_values: list[float] = []


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

    def step(self, usual: dict[str, tuple[float, float]]) -> Array:
        """Advance every share by one minute; log values of the mixture over sizes, in the order of `keys`."""
        cells = list(self._cells.values())
        if not cells:
            return np.zeros(0)
        known = np.asarray([self._usual(key, cell, usual) for key, cell in self._cells.items()])
        base = np.clip(np.nan_to_num(known, nan=0.5) * TOLERATED_FACTOR + TOLERATED_SHARE, 0.0, 0.95)
        raised = base[:, None] + (1 - base[:, None]) * np.asarray(RISES)
        hits, trials = np.asarray([c.hits for c in cells]), np.asarray([c.trials for c in cells])
        ratios = rise_log_ratios(np.minimum(hits, trials), trials, base, raised, dispersion=DISPERSION)
        values = advance(np.asarray([c.log_values for c in cells]), ratios)
        values[np.isnan(known)] = EMPTY
        for cell, row in zip(cells, values, strict=True):
            cell.log_values = [float(v) for v in row]
            cell.hits = cell.trials = 0.0
        mixed: Array = np.logaddexp.reduce(values, axis=1) - np.log(len(RISES))
        return mixed

    def reset(self, key: ShareKey) -> None:
        if key in self._cells:
            self._cells[key].log_values = [float(EMPTY)] * len(RISES)

    def log_weights(self) -> Array:
        """Kinds share the weight evenly, and so do the keys of a kind."""
        number = {kind: max(1, sum(1 for key in self._cells if key.kind == kind)) for kind in KINDS}
        weights: Array = np.log(np.asarray([1 / len(KINDS) / number[key.kind] for key in self._cells]))
        return weights

    def encode(self) -> bytes:
        return msgspec.msgpack.encode([(list(key), cell) for key, cell in self._cells.items()])

    def restore(self, data: bytes) -> None:
        for parts, cell in msgspec.msgpack.decode(data, type=list[tuple[list[str], _Cell]]):
            self._cells[ShareKey(*parts)] = cell

    def _usual(self, key: ShareKey, cell: _Cell, usual: dict[str, tuple[float, float]]) -> float:
        """The usual share, or NaN while it is not known: history first, else what was seen since the key appeared."""
        learned = usual.get(share_name(key))
        if learned is not None and learned[1] >= WARM_UP_TRIALS:
            return learned[0]
        if cell.warm_minutes < WARM_UP_MINUTES or cell.warm_trials < WARM_UP_TRIALS:
            cell.warm_minutes += 1
            cell.warm_hits += cell.hits
            cell.warm_trials += cell.trials
            return float("nan")
        return (cell.warm_hits + 0.5) / (cell.warm_trials + 1)
