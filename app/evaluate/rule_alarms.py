"""When the simple rules alarm: at every threshold of a grid on healthy stretches, at two chosen ones after an onset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from app.evaluate import adwin
from app.evaluate.naive import RULES, Counts
from app.evaluate.scoring import episodes, first_delays

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Thresholds at which episodes are counted, by rule; the one that matches a rate is read off.
ADWIN: Final = "ADWIN"
ADWIN_DELTA: Final = 0.002
ADWIN_EVERY: Final = 5
GRIDS: Final[Mapping[str, Array]] = {
    RULES[0].name: np.linspace(0.3, 1.0, 71),
    RULES[1].name: np.linspace(2.0, 14.0, 121),
    RULES[2].name: np.linspace(0.3, 1.0, 71),
    RULES[3].name: np.linspace(2.0, 60.0, 117),
    # -log10 of delta: higher is more cautious, as with the others.
    ADWIN: -np.log10(np.asarray([1.0, 0.3, 0.05, ADWIN_DELTA, 1e-6])),
}
NOMINAL: Final[Mapping[str, float]] = {**{r.name: r.nominal for r in RULES}, ADWIN: float(-np.log10(ADWIN_DELTA))}


def episodes_by_threshold(counts: Counts) -> dict[str, list[int]]:
    found = {}
    for rule in RULES:
        score = rule.score(counts)
        found[rule.name] = [int(episodes(score >= threshold).sum()) for threshold in GRIDS[rule.name]]
    found[ADWIN] = [int(episodes(_adwin(counts, cautious)).sum()) for cautious in GRIDS[ADWIN]]
    return found


def _adwin(counts: Counts, cautious: float) -> Mask:
    return adwin.drops(
        counts.clicks, np.minimum(counts.conversions, counts.clicks), delta=10**-cautious, every=ADWIN_EVERY
    )


def delays_by_rule(
    counts: Counts, onset: int, thresholds: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, list[float | None]]]:
    found: dict[str, dict[str, list[float | None]]] = {}
    for rule in RULES:
        score = rule.score(counts)
        found[rule.name] = {
            which: plain(first_delays(score >= level, onset)) for which, level in thresholds[rule.name].items()
        }
    found[ADWIN] = {
        which: plain(first_delays(_adwin(counts, level), onset)) for which, level in thresholds[ADWIN].items()
    }
    return found


def plain(delays: Array) -> list[float | None]:
    """Delays as they are kept: None where there was no alarm."""
    return [None if not np.isfinite(d) else float(d) for d in delays]
