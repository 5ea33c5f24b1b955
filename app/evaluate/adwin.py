"""ADWIN2 (Bifet, Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007), for many streams at once.

A window of Bernoulli trials is kept as an exponential histogram. Wherever the window can be cut into an older and a newer part whose
means differ by more than eps_cut, the older part is dropped; a cut whose newer part is lower is an alarm. Trials come by the minute, so
cuts lie between minutes. The buckets of all streams have the same ends in time, and a dropped bucket is an empty one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Buckets of one size before two of them are merged (the paper's M).
SAME_SIZE: Final = 5
#: Trials that each part of a cut needs at least.
LEAST_TRIALS: Final = 5.0


def drops(trials: Array, hits: Array, *, delta: float, every: int = 1) -> npt.NDArray[np.bool_]:
    """Minutes in which ADWIN cuts its window because the rate fell; streams x minutes.

    It looks every `every` minutes, and only then: the last minutes of a length that is no multiple of it are left out.
    """
    window = _Windows(len(trials), delta=delta)
    fell = np.zeros(trials.shape, dtype=np.bool_)
    for end in range(every, trials.shape[1] + 1, every):
        since = end - every
        fell[:, end - 1] = window.add(trials[:, since:end].sum(1), hits[:, since:end].sum(1))
    return fell


class _Windows:
    def __init__(self, streams: int, *, delta: float) -> None:
        self._delta = delta
        self._trials = np.zeros((streams, 0))
        self._hits = np.zeros((streams, 0))
        self._sizes: list[int] = []  # minutes in each bucket, oldest first

    def add(self, trials: Array, hits: Array) -> npt.NDArray[np.bool_]:
        """One minute more; streams that were cut because they fell."""
        self._trials = np.column_stack([self._trials, trials])
        self._hits = np.column_stack([self._hits, hits])
        self._sizes.append(1)
        self._merge()
        fell = np.zeros(len(trials), dtype=np.bool_)
        for _ in range(len(self._sizes)):
            cut, lower = self._cuts()
            if not cut.any():
                break
            fell |= lower
            self._drop_oldest(cut)
        return fell

    def _merge(self) -> None:
        """The two oldest buckets of a size become one where there is one too many."""
        size = 1
        while self._sizes.count(size) > SAME_SIZE:
            first = self._sizes.index(size)
            for name in ("_trials", "_hits"):
                values = getattr(self, name)
                joined = values[:, first : first + 2].sum(1, keepdims=True)
                setattr(self, name, np.hstack([values[:, :first], joined, values[:, first + 2 :]]))
            self._sizes[first : first + 2] = [size * 2]
            size *= 2

    def _cuts(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Streams that must be cut somewhere, and those among them whose newer part is the lower one."""
        old_n, old_hits = np.cumsum(self._trials, axis=1)[:, :-1], np.cumsum(self._hits, axis=1)[:, :-1]
        total_n, total_hits = self._trials.sum(1, keepdims=True), self._hits.sum(1, keepdims=True)
        new_n, new_hits = total_n - old_n, total_hits - old_hits
        with np.errstate(divide="ignore", invalid="ignore"):
            harmonic = 1 / (1 / old_n + 1 / new_n)
            mean = total_hits / total_n
            log_term = np.log(2 * np.log(np.maximum(total_n, 3.0)) / self._delta)
            bound = np.sqrt(2 / harmonic * mean * (1 - mean) * log_term) + 2 / (3 * harmonic) * log_term
            apart = old_hits / old_n - new_hits / new_n
        enough = (old_n >= LEAST_TRIALS) & (new_n >= LEAST_TRIALS)
        cut = enough & (np.abs(np.nan_to_num(apart)) > np.nan_to_num(bound, nan=np.inf, posinf=np.inf))
        return cut.any(1), (cut & (apart > 0)).any(1)

    def _drop_oldest(self, streams: npt.NDArray[np.bool_]) -> None:
        rows = np.flatnonzero(streams)
        oldest = (self._trials[rows] > 0).argmax(1)
        self._trials[rows, oldest] = 0.0
        self._hits[rows, oldest] = 0.0
