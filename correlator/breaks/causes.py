"""Why two counts differ. Each cause is a pure function of the break and its signs that answers None where it does not apply.

A cause says how much of the difference it accounts for, by figures that were counted for it alone. Causes are ranked by how well that amount
is the difference: one that explains half of it, or twice of it, fits by half. Adding a cause is adding a function to `CAUSES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from correlator.breaks.browser import blockers, consent, parameters_stripped, tag_outage
from correlator.breaks.counting import counted_twice, late_data
from correlator.breaks.currency import currency
from correlator.breaks.model import Break, Cause, Signs
from correlator.breaks.time_zone import time_zone

#: A cause that accounts for less than this share of the difference, or for more than ten times of it, is no explanation.
LEAST_FIT: Final = 0.1
#: Equally good ones are told in this order: what was seen directly before what is only consistent.
CAUSES: Final[tuple[Callable[[Break, Signs], Cause | None], ...]] = (
    late_data,
    tag_outage,
    parameters_stripped,
    time_zone,
    currency,
    counted_twice,
    consent,
    blockers,
)


def explain(found: Break, signs: Signs) -> list[Cause]:
    """All causes that apply, best first; `unexplained` alone where none does."""
    causes = [cause for find in CAUSES if (cause := find(found, signs)) is not None]
    fitting = sorted((cause for cause in causes if cause.fit >= LEAST_FIT), key=lambda cause: -cause.fit)
    return fitting or [Cause(cause="unexplained", amount=found.difference, fit=1.0, evidence=())]
