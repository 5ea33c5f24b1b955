"""From click to conversion: the four delay laws of the simulated world (theory.md 2.7 and 4.1).

Two exponential laws, and two that are log-linear between published quantiles: Criteo's sponsored search (quartiles 11.8 minutes, 2 hours,
5.4 days) and Criteo's display (35 % within an hour, 50 % within a day). Both end after 30 days; no conversion comes within the first
half minute in those two, which reproduces the delay-aware bounds of theory.md.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MONTH_MIN: Final = 30 * 1440.0


class DelayOf(NamedTuple):
    """A law. Either exponential with `mean_min`, or log-linear between (`minutes`, `shares`)."""

    name: str
    mean_min: float = 0.0
    minutes: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def arrived(self, age_min: npt.ArrayLike) -> Array:
        """Share of the conversions that has arrived by an age in minutes."""
        ages = np.maximum(np.asarray(age_min, dtype=np.float64), 0.0)
        if self.mean_min:
            exponential: Array = -np.expm1(-ages / self.mean_min)
            return exponential
        return np.interp(np.log(np.maximum(ages, 1e-9)), np.log(self.minutes), self.shares, left=0.0, right=1.0)

    def draw(self, uniform: Array) -> Array:
        """Delays in minutes from numbers uniform in [0, 1)."""
        if self.mean_min:
            exponential: Array = -np.log1p(-uniform) * self.mean_min
            return exponential
        quantiles: Array = np.exp(np.interp(uniform, self.shares, np.log(self.minutes)))
        return quantiles


LAWS: Final = (
    DelayOf("Exp 30 min", mean_min=30.0),
    DelayOf("Exp 6 h", mean_min=360.0),
    DelayOf("Criteo search", minutes=(0.5, 11.8, 120.0, 5.4 * 1440, MONTH_MIN), shares=(0.0, 0.25, 0.5, 0.75, 1.0)),
    DelayOf("Criteo display", minutes=(0.5, 60.0, 1440.0, MONTH_MIN), shares=(0.0, 0.35, 0.5, 1.0)),
)
