"""What the statistics were in the past, and how much evidence a new row is against that."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from correlator.detection.series.statistics import LOOKS, together
from correlator.detection.series.tails import Tail

Floats = NDArray[np.float64]

#: Past rows that the tails are read off: more than a month of five-minute rows.
KEPT: Final = 16_384
#: Evidence (decades) of an alarm.
ALARM: Final = 6.5
#: Alarms are left out of what is usual, up to this share of the past.
ALARM_SHARE: Final = 0.05
#: The first rows were judged by models that knew little: a quarter of the past, at most so many rows, tells nothing of what is usual.
YOUNG_ROWS: Final = 250
#: So many incidents are taken as they are, and one more for each so many rows; a series with more of them is like that.
FREE_INCIDENTS: Final = 3
ROWS_EACH: Final = 700
#: Rows of a tile whose highest evidence stands for an incident.
TILE: Final = 48
MOST_DOUBT: Final = 2.5


class Record:
    """The past of the statistics. `evidence` is in decades: 6 = as surprising as one in a million by the series' own past, roughly."""

    def __init__(self, rows: int) -> None:
        self.evidence = np.zeros(rows)
        self._raw = np.zeros(rows)
        self._past = np.zeros((0, len(LOOKS)))
        self._tails: list[Tail] = []
        self._doubt = 1.0

    def fit(self, until: int) -> None:
        """Reads the tails off the rows before `until`."""
        if not len(self._past):
            return
        begin = until - len(self._past)
        self._doubt = _doubt(self._raw[begin:until])
        usual = _usual(self.evidence[begin:until])
        usual[: min(len(usual) // 4, YOUNG_ROWS)] = False
        told = self._past[usual]
        self._tails = [Tail(told[:, k], least=look.least) for k, look in enumerate(LOOKS)]

    def add(self, found: Floats, *, low: int) -> None:
        """Judges the statistics of the rows from `low` on, shape (rows, looks), and keeps them."""
        if self._tails:
            surprise = np.stack([tail.surprise(found[:, k]) for k, tail in enumerate(self._tails)], axis=1)
            rows = slice(low, low + len(found))
            self._raw[rows] = together(surprise)
            self.evidence[rows] = self._raw[rows] / self._doubt
        self._past = np.concatenate((self._past, found))[-KEPT:]


def _usual(evidence: Floats) -> NDArray[np.bool_]:
    """Which rows of the past tell what is usual: all but the alarms; when these are many, all but the worst."""
    alarm = evidence >= ALARM
    if alarm.mean() > ALARM_SHARE:
        alarm = evidence > np.quantile(evidence, 1 - ALARM_SHARE)
    return ~alarm


def _doubt(raw: Floats) -> float:
    """What evidence is divided by: where incidents are frequent, the one too many is just no alarm."""
    tiles = np.zeros(-(-len(raw) // TILE) * TILE)
    tiles[: len(raw)] = raw
    peaks = np.sort(tiles.reshape(-1, TILE).max(axis=1))[::-1]
    allowed = FREE_INCIDENTS + len(raw) // ROWS_EACH
    if len(peaks) <= allowed:
        return 1.0
    return float(np.clip(peaks[allowed] / ALARM, 1.0, MOST_DOUBT))
