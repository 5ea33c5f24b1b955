"""How good scores are: area under precision and recall (by row, and with tolerant labels), and what a fixed threshold gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Alarms with fewer quiet rows between them are one episode.
QUIET_ROWS: Final = 20
#: Rows beside an anomaly in which an alarm is its echo: neither right nor wrong.
ECHO_ROWS: Final = 60


def average_precision(scores: Floats, *, anomalous: Bools, weight: Floats | None = None) -> float:
    """Area under precision over recall; ties share a threshold. `weight`: label of each row between 0 and 1."""
    truth = anomalous.astype(np.float64) if weight is None else weight
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    recall = (hits / hits[-1])[last]
    return float(np.sum(np.diff(np.append(0.0, recall)) * precision))


def tolerant_precision(scores: Floats, *, anomalous: Bools, longest: int) -> float:
    """Mean of the area over labels that fade out within 0 to `longest` rows on both sides (after Paparrizos et al., VLDB 2022: VUS-PR)."""
    found = []
    for buffer in np.unique(np.linspace(0, longest, 5).astype(int)):
        found.append(average_precision(scores, anomalous=anomalous, weight=_faded(anomalous, buffer=int(buffer))))
    return float(np.mean(found))


def _faded(anomalous: Bools, *, buffer: int) -> Floats:
    """1 inside an anomaly, falling as sqrt(1 - distance / buffer) beside it."""
    truth = anomalous.astype(np.float64)
    if buffer == 0:
        return truth
    rows = np.arange(len(truth))
    inside = np.flatnonzero(anomalous)
    after = np.clip(np.searchsorted(inside, rows), 0, len(inside) - 1)
    distance = np.minimum(np.abs(inside[after] - rows), np.abs(inside[np.maximum(after - 1, 0)] - rows))
    return np.where(anomalous, 1.0, np.sqrt(np.clip(1 - distance / buffer, 0, 1)))


def episodes(alarmed: Bools) -> list[tuple[int, int]]:
    """First row and end of each run of alarms, runs joined over short pauses."""
    at = np.flatnonzero(alarmed)
    if not len(at):
        return []
    cuts = np.flatnonzero(np.diff(at) > QUIET_ROWS)
    begins, ends = at[np.append(0, cuts + 1)], at[np.append(cuts, len(at) - 1)] + 1
    return [(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def at_threshold(scores: Floats, *, anomalous: Bools, threshold: float) -> dict[str, float]:
    """Anomalies, how many were found, false episodes, summed delay of the found ones in rows."""
    alarmed = scores >= threshold
    wanted = _runs(anomalous)
    found = [(begin, begin + int(np.argmax(alarmed[begin:end]))) for begin, end in wanted if alarmed[begin:end].any()]
    near = anomalous.copy()
    for begin, end in wanted:
        near[begin : end + ECHO_ROWS] = True
    false = sum(not near[begin:end].any() for begin, end in episodes(alarmed))
    return {
        "anomalies": len(wanted),
        "found": len(found),
        "false": false,
        "delay_rows": float(sum(at - begin for begin, at in found)),
    }


def best_threshold(found: Sequence[tuple[Floats, Bools]]) -> float:
    """The one threshold for all series that has the highest F1 over incidents, of 25 between their high quantiles."""
    pooled = np.concatenate([scores for scores, _ in found])
    tried = np.unique(np.quantile(pooled, 1 - np.geomspace(3e-5, 0.05, 25)))
    return float(max(tried, key=lambda threshold: _f1(found, threshold=float(threshold))))


def _f1(found: Sequence[tuple[Floats, Bools]], *, threshold: float) -> float:
    counts = [at_threshold(scores, anomalous=truth, threshold=threshold) for scores, truth in found if truth.any()]
    hits, false, anomalies = (sum(count[name] for count in counts) for name in ("found", "false", "anomalies"))
    return 2 * hits / max(hits + false + anomalies, 1)


def _runs(anomalous: Bools) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], anomalous, [False])).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
