"""The measurement: every kind of series with and without faults, our scores and the simple rules', one threshold for all files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from app.bench.series.backgrounds import KINDS, Floats
from app.bench.series.faults import FAULTS, Labelled, labelled
from app.bench.series.measures import at_threshold, average_precision, best_threshold, episodes, tolerant_precision
from app.bench.series.rules import RULES
from correlator.detection.series.scoring import Series, score

#: The stated threshold.
THRESHOLD: Final = 0.5
#: Rows by which labels fade out in the tolerant area.
BUFFER_ROWS: Final = 40
OURS: Final = "clicktrace"

Found = list[tuple[Labelled, Floats]]


def ours(series: Labelled) -> Floats:
    """The scores that `clicktrace detect` gives."""
    values = series.values
    if series.trials is not None:
        values = np.where(series.trials > 0, values / np.where(series.trials > 0, series.trials, 1.0), np.nan)
    return score(Series(times_ms=series.times_ms, values=values, trials=series.trials))


def run(*, series: int, first_seed: int, told: Callable[[int, int], None] = lambda _done, _of: None) -> dict[str, Any]:
    """So many series of each kind with faults, and as many without; figures of every rule, and ours by kind and by fault."""
    drawn = [
        labelled(kind, seed=first_seed + number, clean=clean)
        for kind in KINDS
        for number in range(series)
        for clean in (False, True)
    ]
    begun = time.process_time()
    found: Found = []
    for done, each in enumerate(drawn):
        found.append((each, ours(each)))
        told(done + 1, len(drawn))
    seconds = time.process_time() - begun
    rows = sum(len(each.values) for each in drawn)
    return {
        "rules": {OURS: _figures(found, threshold=THRESHOLD), **_others(drawn)},
        "kinds": {
            kind: _figures([pair for pair in found if pair[0].kind == kind], threshold=THRESHOLD) for kind in KINDS
        },
        "faults": {fault: _of_fault(found, fault=fault) for fault in FAULTS},
        "series": len(drawn),
        "rows": rows,
        "rows_per_cpu_second": round(rows / seconds),
        "first_seed": first_seed,
        "threshold": THRESHOLD,
        "cores": os.cpu_count(),
    }


def _others(drawn: list[Labelled]) -> dict[str, Mapping[str, float]]:
    """The simple rules, each at the threshold that suits it best on these very series: a favour that ours does not get."""
    figures: dict[str, Mapping[str, float]] = {}
    for name, rule in RULES.items():
        found = [(each, rule(each)) for each in drawn]
        threshold = best_threshold([(scores, each.anomalous) for each, scores in found])
        figures[name] = _figures(found, threshold=threshold)
    return figures


def _figures(found: Found, *, threshold: float) -> dict[str, float]:
    faulty = [(each, scores) for each, scores in found if each.anomalous.any()]
    clean = [(each, scores) for each, scores in found if not each.anomalous.any()]
    areas = [average_precision(scores, anomalous=each.anomalous) for each, scores in faulty]
    tolerant = [tolerant_precision(scores, anomalous=each.anomalous, longest=BUFFER_ROWS) for each, scores in faulty]
    counts = [at_threshold(scores, anomalous=each.anomalous, threshold=threshold) for each, scores in faulty]
    anomalies, hits, false, delay = (
        sum(count[name] for count in counts) for name in ("anomalies", "found", "false", "delay_rows")
    )
    alarms = sum(len(episodes(scores >= threshold)) for _, scores in clean)
    rows = sum(len(scores) for _, scores in clean)
    return {
        "pr_auc": round(float(np.mean(areas)), 3),
        "vus_pr": round(float(np.mean(tolerant)), 3),
        "threshold": round(threshold, 3),
        "precision": round(hits / max(hits + false, 1), 3),
        "recall": round(hits / anomalies, 3),
        "f1": round(2 * hits / (hits + false + anomalies), 3),
        "delay_rows": round(delay / max(hits, 1), 1),
        "false_per_1000_clean_rows": round(1000 * alarms / max(rows, 1), 3),
    }


def _of_fault(found: Found, *, fault: str) -> dict[str, int]:
    told = [
        bool((scores[begin:end] >= THRESHOLD).any())
        for each, scores in found
        for name, begin, end in each.faults
        if name == fault
    ]
    return {"found": sum(told), "of": len(told)}
