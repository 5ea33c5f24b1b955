"""Is the fault gone? Tested on what still flows through the scope, so that it works while the affected campaigns are paused.

Two witnesses: what failed directly (shares of requests of the changed routes, organic visitors included, or of hits at the redirect; the
number of hits when visitors were added who do not buy) and the conversions of clicks in scope, other campaigns included. Each weighs "back to normal since tau" against "still failing half as badly as
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
SHARE_DISPERSION = 1.5
#: Robots come in bursts, and a day's traffic drifts.
TRAFFIC_DISPERSION = 5.0
TRAFFIC_TOLERANCE = 1.5
#: Buckets before tau that show how badly it still failed just then.
LATELY = 2
#: Organic visitors of the scope keep coming even when every campaign is paused.
LEAST_RESIDUAL = 0.25


class Witness(NamedTuple):
    """Evidence for "back to normal since `since`", in nats; `text` says what was seen."""

    log_ratio: float
    since: int
    text: str


class Watched(NamedTuple):
    """A share that failed during the incident."""

    usual: float
    failing: float


def service_witness(
    minutes: Sequence[ServiceMinute], changes: Sequence[Change], *, not_before: int, residual: float = 1.0
) -> Witness | None:
    """The routes that failed, all their visitors: organic traffic keeps coming during a pause.

    `residual` is the share of the scope's clicks that still come. A route that serves more than the scope fails less during a pause
    without being mended: what it is compared with is scaled to the failing requests that may still be expected.
    """
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
        watched = Watched(change.before, still_failing(change, trials, residual))
        verb = "fails" if change.kind == "errors" else f"takes over {change.bound_s:g} s"
        found = share_witness(hits, trials, np.asarray(starts), watched, name=f"{change.name} {verb}")
        if found is not None and (best is None or found.log_ratio < best.log_ratio):
            best = found  # every route must be back: the most doubtful one speaks
    return best


def still_failing(change: Change, trials: Array, residual: float) -> float:
    """The share that would fail now if nothing was mended, at least a tenth of what failed."""
    pace = float(trials.mean()) if trials.size else 0.0
    if pace <= 0 or change.per_minute <= 0:
        return change.after
    failing_now = change.after * change.per_minute * max(residual, LEAST_RESIDUAL)
    return float(np.clip(failing_now / pace, 0.1 * change.after, change.after))


def _slow(minute: ServiceMinute, bound_s: float) -> tuple[int, int]:
    return (slower_than(minute.buckets, bound_s), sum(minute.buckets)) if minute.buckets else (0, 0)


def share_witness(
    hits: Array, trials: Array, starts: npt.NDArray[np.int64], watched: Watched, *, name: str
) -> Witness | None:
    """Bernoulli likelihood ratio of the usual share against the middle between usual and failing, from the best tau on.

    What failing means is taken from the counts before tau where they say more than `watched` does.
    """
    if trials.sum() == 0:
        return None
    best: Witness | None = None
    for tau in range(len(trials)):
        seen, total = float(hits[tau:].sum()), float(trials[tau:].sum())
        lately, tried = float(hits[max(0, tau - LATELY) : tau].sum()), float(trials[max(0, tau - LATELY) : tau].sum())
        failing = max(watched.failing, lately / tried if tried >= 10 else 0.0)
        nats = _back_to_usual(seen, total, usual=watched.usual, failing=failing)
        if total > 0 and (best is None or nats > best.log_ratio):
            best = Witness(nats, int(starts[tau]), f"{name} for {seen / total:.1%} of {total:.0f} requests")
    return best


def _back_to_usual(seen: float, total: float, *, usual: float, failing: float) -> float:
    normal = min(max(usual * 1.5 + 0.01, 0.01), 0.9)
    middle = min(max((usual + failing) / 2, normal + 0.02), 0.95)
    return (
        seen * math.log(normal / middle) + (total - seen) * math.log((1 - normal) / (1 - middle))
    ) / SHARE_DISPERSION


def redirect_witness(window: Window, inside: Mask, watched: Watched, *, not_before: int) -> Witness | None:
    """Hits of the scope that get their redirect again."""
    first = window.bucket_of(not_before)
    found = share_witness(
        window.lost[inside].sum(0)[first:],
        window.hits[inside].sum(0)[first:],
        window.starts[first:],
        watched,
        name="the redirect fails",
    )
    return None if found is None else found._replace(text=found.text.replace("requests", "hits"))


def traffic_witness(window: Window, inside: Mask, watched: Watched, *, not_before: int) -> Witness | None:
    """Hits of the scope are as many as before the flood; `watched` is in hits a second. The bucket that is still filling says nothing."""
    first = window.bucket_of(not_before)
    hits = window.hits[inside].sum(0)[first:-1]
    if hits.size == 0:
        return None
    seconds = window.bucket_ms / 1000
    normal = watched.usual * seconds * TRAFFIC_TOLERANCE + 1
    middle = max((watched.usual + watched.failing) / 2 * seconds, normal * 1.2)
    step = (hits * math.log(normal / middle) + middle - normal) / TRAFFIC_DISPERSION
    since = np.cumsum(step[::-1])[::-1]
    tau = int(since.argmax())
    text = f"{hits[tau:].mean() / seconds:.1f} hits a second, {watched.usual:.1f} before"
    return Witness(float(since[tau]), int(window.starts[first:][tau]), text)


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
    """The witness by which the fault is gone, or None. Both add up, but conversions alone decide only where nothing failed directly."""
    needed = STAY_NATS if recovered else ENTER_NATS
    if direct is None:
        return conversions if conversions is not None and conversions.log_ratio >= needed else None
    heard = conversions.log_ratio if conversions is not None else 0.0
    if heard < CONTRADICTION_NATS or direct.log_ratio <= 0 or direct.log_ratio + heard < needed:
        return None
    return direct


def first_full_minute(ts: int) -> int:
    """The minute after the one that contains `ts`: the onset's own minute is part healthy."""
    return ts - ts % MINUTE_MS + MINUTE_MS
