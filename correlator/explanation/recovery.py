"""Is the fault gone? Tested on what still flows through the scope, so that it works while the affected campaigns are paused.

Two witnesses: the shares that failed (requests of the changed routes, organic visitors included; hits at the redirect) and the
conversions of clicks in scope, other campaigns included. Each weighs "back to normal since tau" against "still failing half as badly as
it did"; the likelihood ratio of one tau is an e-value, so with the maximum over few taus kept at 100 a wrong return is rarer than one
in a hundred per tau (theory.md 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.clock import MINUTE_MS
from correlator.detection.history import slower_than
from correlator.explanation.service_health import Change
from correlator.explanation.window import ServiceMinute, Window

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ENTER_NATS = math.log(100)
#: Once recovered, an incident stays so until the odds fall below this: one unlucky minute is no relapse.
STAY_NATS = math.log(5)
CONTRADICTION_NATS = -3.0
SHARE_DISPERSION = 2.0


class Witness(NamedTuple):
    """Evidence for "back to normal since `since`", in nats; `text` says what was seen."""

    log_ratio: float
    since: int
    text: str


class Watched(NamedTuple):
    """A share that failed during the incident."""

    usual: float
    failing: float


def service_witness(minutes: Sequence[ServiceMinute], changes: Sequence[Change], *, not_before: int) -> Witness | None:
    """The routes that failed, all their visitors: organic traffic keeps coming during a pause."""
    best: Witness | None = None
    for change in changes[:3]:
        own = [m for m in minutes if (m.service, m.route, m.device) == (change.service, change.route, change.device)]
        starts = sorted({m.minute for m in own if m.minute >= not_before})
        hits, trials = np.zeros(len(starts)), np.zeros(len(starts))
        for m in own:
            if m.minute >= not_before:
                at = starts.index(m.minute)
                bad, total = (m.errors, m.requests) if change.kind == "errors" else _slow(m, change.bound_s)
                hits[at], trials[at] = hits[at] + bad, trials[at] + total
        found = share_witness(hits, trials, np.asarray(starts), Watched(change.before, change.after), name=change.name)
        if found is not None and (best is None or found.log_ratio < best.log_ratio):
            best = found  # every route must be back: the most doubtful one speaks
    return best


def _slow(minute: ServiceMinute, bound_s: float) -> tuple[int, int]:
    return (slower_than(minute.buckets, bound_s), sum(minute.buckets)) if minute.buckets else (0, 0)


def share_witness(
    hits: Array, trials: Array, starts: npt.NDArray[np.int64], watched: Watched, *, name: str
) -> Witness | None:
    """Bernoulli likelihood ratio of the usual share against the middle between usual and failing, from the best tau on."""
    if trials.sum() == 0:
        return None
    usual = min(max(watched.usual * 1.5 + 0.01, 0.01), 0.9)
    failing = min(max((watched.usual + watched.failing) / 2, usual + 0.02), 0.95)
    step = (
        hits * math.log(usual / failing) + (trials - hits) * math.log((1 - usual) / (1 - failing))
    ) / SHARE_DISPERSION
    since = np.cumsum(step[::-1])[::-1]
    tau = int(since.argmax())
    seen, total = hits[tau:].sum(), trials[tau:].sum()
    text = f"{name} fails for {seen / max(total, 1):.1%} of {total:.0f} requests, {watched.failing:.0%} during the incident"
    return Witness(float(since[tau]), int(starts[tau]), text)


def redirect_witness(window: Window, inside: Mask, watched: Watched, *, not_before: int) -> Witness | None:
    """Hits of the scope that get their redirect again."""
    first = window.bucket_of(not_before)
    found = share_witness(
        window.lost[inside].sum(0)[first:],
        window.hits[inside].sum(0)[first:],
        window.starts[first:],
        watched,
        name="redirect",
    )
    return None if found is None else found._replace(text=found.text.replace("requests", "hits"))


def conversion_witness(
    window: Window, inside: Mask, *, kept: float, not_before: int, dispersion: float
) -> Witness | None:
    """Conversions of clicks after tau: as many as usual, or still the middle between that and what was kept."""
    first = window.bucket_of(not_before)
    observed, expected = (
        window.observed_by_click[inside].sum(0)[first:],
        window.expected_by_click[inside].sum(0)[first:],
    )
    if expected.sum() < 1:
        return None
    middle = min((1 + max(kept, 0.0)) / 2, 0.9)
    step = (-observed * math.log(middle) - expected * (1 - middle)) / dispersion
    since = np.cumsum(step[::-1])[::-1]
    tau = int(since.argmax())
    seen, due = observed[tau:].sum(), expected[tau:].sum()
    text = f"{seen:.0f} conversions of new clicks where {due:.0f} were due"
    return Witness(float(since[tau]), int(window.starts[first:][tau]), text)


def judge(direct: Witness | None, conversions: Witness | None, *, recovered: bool) -> Witness | None:
    """The witness by which the fault is gone, or None. Direct evidence leads; conversions decide alone only where there is none."""
    needed = STAY_NATS if recovered else ENTER_NATS
    if direct is not None:
        contradicted = conversions is not None and conversions.log_ratio < CONTRADICTION_NATS
        return direct if direct.log_ratio >= needed and not contradicted else None
    return conversions if conversions is not None and conversions.log_ratio >= needed else None


def first_full_minute(ts: int) -> int:
    """The minute after the one that contains `ts`: the onset's own minute is part healthy."""
    return ts - ts % MINUTE_MS + MINUTE_MS
