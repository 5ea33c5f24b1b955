"""What evidence is gathered from, and the form that every piece of it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from core.incidents import Evidence, Verdict
from correlator.explanation.service_health import Change, Proof
from correlator.explanation.timing import Onset
from correlator.explanation.window import Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Counts of a stretch vary more than Poisson.
DISPERSION = 1.5
#: Visitors come in bursts: hits of a minute vary more than that (theory.md 4.1: 1.5 to 5).
TRAFFIC_DISPERSION = 4.0
#: Requests and hits of one visitor stand and fall together.
SHARE_DISPERSION = 1.2
#: Requests or hits needed before "healthy" means anything.
ENOUGH = 20.0


class Situation(NamedTuple):
    """What the evidence is gathered from. `first` is the onset's bucket in the window, `inside` the scope's cells."""

    window: Window
    inside: Mask
    first: int
    changes: Sequence[Change]
    proofs: dict[str, Proof]  # errors, slow
    services_seen: bool
    level: Array  # cells: how the campaign converted before the onset against the baseline
    onset: Onset

    @property
    def due(self) -> float:
        """Conversions that should have come in scope since the onset, at the level before it."""
        return float((self.window.expected[:, self.first :].sum(1) * self.level)[self.inside].sum())

    @property
    def seen(self) -> float:
        """Conversions that came."""
        return float(self.window.observed[self.inside][:, self.first :].sum())


def piece(name: str, verdict: Verdict, nats: float, text: str, **figures: float) -> Evidence:
    rounded = {key: round(float(value), 4) for key, value in figures.items()}
    return Evidence(name=name, text=text, verdict=verdict.value, log_likelihood=round(float(nats), 2), figures=rounded)


def log_poisson(count: float, mean: float) -> float:
    mean = max(mean, 1e-9)
    return float(count * np.log(mean) - mean - gammaln(count + 1))
