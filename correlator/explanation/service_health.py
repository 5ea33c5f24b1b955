"""What changed in the services: error share and slow share of every route, version and device, before against after the onset.

The robust before/after comparison that leads published root-cause benchmarks (theory.md 0.9), as a likelihood ratio on counts; and the
click-level proof: whether the clicks whose own trace failed or waited converted less than those whose trace did not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from core.clock import MINUTE_MS, floor_minute
from correlator.detection.history import slow_bound, slower_than
from correlator.explanation.window import ServiceMinute

#: Requests of one visitor stand and fall together: divide the likelihood ratio as detection does.
DISPERSION = 2.0
#: A change below these is not worth a word, however significant.
LEAST_RISE = 0.05
LEAST_NATS = 3.0
#: Unless it is as sure as that: orders are few among the requests of a service, and one in fifty that fails is money.
SMALL_RISE, SURE_NATS = 0.01, 6.0
LEAST_REQUESTS = 5
#: Requests in whole minutes since the onset from which the onset's own, half healthy minute is left out.
ENOUGH_WHOLE = 20


class Change(NamedTuple):
    """One route's share of failed (or slow) requests before and after; `log_ratio` in nats, dispersion divided out."""

    kind: str  # errors | slow
    service: str
    route: str
    device: str
    before: float
    after: float
    requests: int
    log_ratio: float
    bound_s: float = 0.0
    per_minute: float = 0.0  # requests a minute since the onset

    @property
    def name(self) -> str:
        return f"{self.service} {self.route}" + (f" ({self.device})" if self.device else "")


class VersionShare(NamedTuple):
    """Failed share of one version of a service on its changed routes, with when it was first and last seen."""

    version: str
    first: int
    failed: float
    requests: int


class Proof(NamedTuple):
    """Clicks and conversions by whether their own trace failed (or waited)."""

    bad_clicks: int
    bad_converted: int
    good_clicks: int
    good_converted: int


def find_changes(minutes: Sequence[ServiceMinute], *, onset: int, bounds: dict[str, float]) -> list[Change]:
    """Routes that fail or wait more since the onset's minute, most telling first.

    Args:
        minutes: service minutes around the onset.
        onset: its minute counts as after, as part of it was, until later minutes show the whole effect.
        bounds: "service|route" -> seconds above which a request is slow; routes without one get theirs from the minutes before.
    """
    split = floor_minute(onset)
    grouped: dict[tuple[str, str, str], list[ServiceMinute]] = {}
    for minute in minutes:
        grouped.setdefault((minute.service, minute.route, minute.device), []).append(minute)
    found: list[Change] = []
    for (service, route, device), rows in grouped.items():
        before = [m for m in rows if m.minute < split]
        whole = [m for m in rows if m.minute > split]
        after = whole if _errors(whole)[1] >= ENOUGH_WHOLE else [m for m in rows if m.minute >= split]
        pace = sum(m.requests for m in after) / max(len({m.minute for m in after}), 1)
        errors = _change("errors", service, route, device, _errors(before), _errors(after))
        found.append(errors._replace(per_minute=pace))
        bound = bounds.get(f"{service}|{route}") or slow_bound(_buckets(before))
        if bound is not None:
            slow = _change("slow", service, route, device, _slow(before, bound), _slow(after, bound))
            found.append(slow._replace(bound_s=bound, per_minute=pace))
    telling = [c for c in found if _telling(c)]
    return sorted(telling, key=lambda c: c.log_ratio, reverse=True)


def _telling(change: Change) -> bool:
    rise = change.after - change.before
    return (rise >= LEAST_RISE and change.log_ratio >= LEAST_NATS) or (
        rise >= SMALL_RISE and change.after >= 2 * change.before and change.log_ratio >= SURE_NATS
    )


def worst_of(known: Sequence[Change], fresh: Sequence[Change]) -> list[Change]:
    """Every route at the worst it was seen at: a pause takes failing requests away without mending anything."""
    worst: dict[tuple[str, str, str, str], Change] = {}
    for change in (*known, *fresh):
        key = (change.kind, change.service, change.route, change.device)
        if key not in worst or change.after > worst[key].after:
            worst[key] = change
    return sorted(worst.values(), key=lambda c: c.log_ratio, reverse=True)


def versions_of(
    minutes: Sequence[ServiceMinute], changes: Sequence[Change], service: str, *, onset: int
) -> list[VersionShare]:
    """Since the onset's minute, the failed (or slow) share of each version on the service's changed routes."""
    routes = {(c.route, c.kind): c for c in changes if c.service == service}
    own = [m for m in minutes if m.service == service]
    shares = []
    for version in sorted({m.version for m in own}):
        rows = [m for m in own if m.version == version]
        after = [m for m in rows if m.minute >= floor_minute(onset) - MINUTE_MS]
        bad = total = 0
        for (route, kind), change in routes.items():
            part = [m for m in after if m.route == route and m.device == change.device]
            hits, trials = _errors(part) if kind == "errors" else _slow(part, change.bound_s)
            bad, total = bad + hits, total + trials
        shares.append(VersionShare(version, min(m.minute for m in rows), bad / total if total else 0.0, total))
    return shares


def _change(
    kind: str, service: str, route: str, device: str, before: tuple[int, int], after: tuple[int, int]
) -> Change:
    usual = (before[0] + 0.01) / (before[1] + 1)
    now = after[0] / after[1] if after[1] >= LEAST_REQUESTS else 0.0
    ratio = rise_log_ratio(before[0], before[1], after[0], after[1]) / DISPERSION if now > usual else 0.0
    return Change(kind, service, route, device, usual, now, after[1], ratio)


def rise_log_ratio(before_hits: float, before_trials: float, after_hits: float, after_trials: float) -> float:
    """Log-likelihood ratio of two shares against one; 0 when the later share is not higher."""
    if after_trials <= 0 or after_hits * max(before_trials, 1) <= before_hits * after_trials:
        return 0.0
    # Half a hit in a hundred trials keeps a spotless past from claiming certainty.
    first, trials = before_hits + 0.5, before_trials + 100
    pooled = (first + after_hits) / (trials + after_trials)
    return (
        _loglik(first, trials, first / trials)
        + _loglik(after_hits, after_trials, after_hits / after_trials)
        - (_loglik(first, trials, pooled) + _loglik(after_hits, after_trials, pooled))
    )


def proof_log_ratio(proof: Proof) -> float:
    """Log-likelihood ratio that clicks with a bad trace convert less than the others; 0 when they do not."""
    kept_bad = proof.bad_clicks - proof.bad_converted
    kept_good = proof.good_clicks - proof.good_converted
    if proof.bad_clicks == 0 or proof.good_clicks == 0:
        return 0.0
    # "Not converting" is the hit that rises among bad clicks.
    share_bad, share_good = kept_bad / proof.bad_clicks, kept_good / proof.good_clicks
    if share_bad <= share_good:
        return 0.0
    pooled = (kept_bad + kept_good) / (proof.bad_clicks + proof.good_clicks)
    return (
        _loglik(kept_bad, proof.bad_clicks, share_bad)
        + _loglik(kept_good, proof.good_clicks, share_good)
        - _loglik(kept_bad, proof.bad_clicks, pooled)
        - _loglik(kept_good, proof.good_clicks, pooled)
    )


def _loglik(hits: float, trials: float, share: float) -> float:
    first = hits * math.log(share) if hits > 0 else 0.0
    rest = (trials - hits) * math.log1p(-share) if trials > hits else 0.0
    return first + rest


def _errors(rows: Sequence[ServiceMinute]) -> tuple[int, int]:
    return sum(m.errors for m in rows), sum(m.requests for m in rows)


def _slow(rows: Sequence[ServiceMinute], bound_s: float) -> tuple[int, int]:
    buckets = _buckets(rows)
    return (slower_than(buckets, bound_s), sum(buckets)) if buckets else (0, 0)


def _buckets(rows: Sequence[ServiceMinute]) -> list[int]:
    return [sum(column) for column in zip(*(m.buckets for m in rows), strict=True)]
