"""The baseline: which conversion rate a leaf has in a given hour when nothing is wrong, and how wrong that may be (theory.md 2.6, 2.8).

rate(leaf, time) = leaf's rate x profile(hour of week). The leaf's rate is its own history shrunk towards the multiplicative main effects
of campaign, device and page (Gamma-Poisson empirical Bayes); the profile is pooled over all campaigns and shrunk hour of week towards
hour of day x day of week. Cells that do not fit (incidents nobody had recorded) are trimmed before the second pass. Overdispersion and
the day-to-day wobble that no profile explains are estimated from the same cells (`spread.py`): the first divides the likelihood ratios,
the second sets what a level may claim.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.clock import HOUR_MS
from correlator.detection.delay import DelayLaw, LeafLaws, assumed_law, segment_key
from correlator.detection.exposure import Leaf
from correlator.detection.spread import Spread, spread_of

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

HOURS_OF_WEEK = 168
#: Below this many hours of history a profile would be noise with a shape.
MINIMUM_PROFILE_HOURS = 72
#: With fewer weeks a day of the week is mostly that day's own luck (theory.md 2.6: four weeks for the full hour of week).
MINIMUM_WEEKDAY_HOURS = 14 * 24
MINIMUM_WEEK_HOURS = 28 * 24
#: Stretches in which an incident is looked for: a busy campaign shows it in an hour, a quiet one only over a night.
TRIM_HOURS: tuple[int, ...] = (1, 12)
#: A campaign's stretch further from its fit than this many standard deviations is an incident, not seasonality.
TRIM_SIGMAS = 4.0
#: Relative error of a campaign nobody has seen, when too few campaigns are known to estimate it.
UNKNOWN_CAMPAIGN_ERROR = 0.5
#: Relative error granted to a target a person set: it is a yardstick, not an estimate, and often a hope.
TARGET_ERROR = 0.10


class History(NamedTuple):
    """Clicks and their conversions by leaf (index into `leaves`) and hour since the epoch."""

    leaves: list[Leaf]
    row: Ints
    hour: Ints
    clicks: Array
    conversions: Array


class Rate(NamedTuple):
    """A leaf's rate per click, its relative standard error, and what it rests on: history, target or similar."""

    value: float
    error: float
    basis: str

    @property
    def shared(self) -> bool:
        """Whether all leaves of the campaign err alike: without a history of its own the campaign's level is a guess."""
        return self.basis != "history"


class BaselineModel(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned; everything detection needs to know about normal times."""

    learned_at: int
    history_from: int
    history_to: int
    clicks: float
    conversions: float
    overall: float
    effects: dict[str, dict[str, float]]  # dimension -> value -> factor
    campaign_conversions: dict[str, float]
    leaves: dict[str, tuple[float, float]]  # leaf key -> (rate, relative error)
    profile: list[float]
    profile_error: float
    new_campaign_error: float
    dispersion: float
    misfit: float  # relative standard deviation of the effect that a day has on everything
    laws: dict[str, DelayLaw]
    law: DelayLaw
    browsers: dict[str, float] = {}
    shares: dict[str, tuple[float, float]] = {}  # share key -> (share, trials)
    share_spreads: dict[str, float] = {}  # share key -> standard deviation of its hourly values beyond chance
    bounds_s: dict[str, float] = {}  # route key -> duration above which a request is slow
    mean_device_effect: float = 1.0  # of all clicks
    campaign_misfit: float = 0.0  # and of the effect that it has on one campaign
    special_days: list[int] = []  # days since the epoch in the calendar of holidays and promotions
    segment_laws: dict[str, DelayLaw] = {}  # of pages, and of campaigns on a page that differ from it (`segment_key`)

    def rate(self, leaf: Leaf, *, targets: dict[str, float], minimum_conversions: float) -> Rate:
        """The leaf's rate: from history, else the campaign's target, else what similar campaigns do."""
        if self.campaign_conversions.get(leaf.campaign, 0.0) < minimum_conversions and leaf.campaign in targets:
            # A target speaks of the campaign as a whole: its devices differ as those of other campaigns do.
            device = self.effects.get("device", {}).get(leaf.device, self.mean_device_effect) / self.mean_device_effect
            return Rate(min(targets[leaf.campaign] * device, 1.0), TARGET_ERROR, "target")
        known = self.leaves.get(leaf_key(leaf))
        if known is not None:
            return Rate(known[0], known[1], "history")
        value = self.overall
        for dimension, name in zip(("campaign", "device", "page"), leaf, strict=True):
            value *= self.effects.get(dimension, {}).get(name, 1.0)
        if leaf.campaign not in self.effects.get("campaign", {}):
            return Rate(value, self.new_campaign_error, "similar")
        # The campaign is known, this leaf of it is not: as uncertain as a quarter of the campaign's conversions would leave it.
        return Rate(value, float(1.0 / np.sqrt(self.campaign_conversions.get(leaf.campaign, 0.0) / 4 + 1)), "history")

    def law_of(self, leaf: Leaf) -> DelayLaw:
        """The leaf's delay law: its campaign's on that page, else its page's, else that of all."""
        return segment_law(leaf, segments=self.segment_laws, law=self.law)

    def leaf_laws(self, leaves: Sequence[Leaf]) -> LeafLaws:
        """The laws of leaves, those with the same law together."""
        return leaf_laws(leaves, segments=self.segment_laws, law=self.law)

    def season(self, ts_ms: npt.ArrayLike) -> Array:
        """Profile factor at a time, interpolated between the middles of the hours: a step at the full hour is nobody's habit."""
        hours = np.asarray(ts_ms, dtype=np.float64) / HOUR_MS - 0.5
        profile = np.asarray(self.profile)
        below = np.floor(hours)
        rest = hours - below
        at = below.astype(np.int64)
        factor: Array = profile[at % HOURS_OF_WEEK] * (1 - rest) + profile[(at + 1) % HOURS_OF_WEEK] * rest
        return factor


def segment_law(leaf: Leaf, *, segments: dict[str, DelayLaw], law: DelayLaw) -> DelayLaw:
    """The narrowest law that was learned for the leaf."""
    own = segments.get(segment_key(leaf.campaign, leaf.page))
    return own or segments.get(segment_key("", leaf.page), law)


def leaf_laws(leaves: Sequence[Leaf], *, segments: dict[str, DelayLaw], law: DelayLaw) -> LeafLaws:
    """The laws of leaves, those with the same law together."""
    chosen = [segment_law(leaf, segments=segments, law=law) for leaf in leaves]
    distinct = {id(each): each for each in chosen} or {id(law): law}
    position = {name: at for at, name in enumerate(distinct)}
    return LeafLaws(list(distinct.values()), np.asarray([position[id(each)] for each in chosen], dtype=np.int64))


def leaf_key(leaf: Leaf) -> str:
    return "|".join(leaf)


def decode_model(data: Any) -> BaselineModel:
    """A model from plain JSON data (a Baseline record's payload)."""
    return msgspec.convert(data, BaselineModel)


def empty_model(*, now: int) -> BaselineModel:
    """Before any history: rates come from targets alone."""
    return BaselineModel(
        learned_at=now,
        history_from=now,
        history_to=now,
        clicks=0.0,
        conversions=0.0,
        overall=0.0,
        effects={},
        campaign_conversions={},
        leaves={},
        profile=[1.0] * HOURS_OF_WEEK,
        profile_error=0.0,
        new_campaign_error=UNKNOWN_CAMPAIGN_ERROR,
        dispersion=1.0,
        misfit=0.05,
        laws={},
        law=assumed_law(),
    )


class Fit(NamedTuple):
    """One pass over the cells."""

    profile: Array
    main: Array  # rate by leaf from the main effects
    effects: list[Array]
    rates: Array
    errors: Array
    concentration: float


def fit(
    history: History,
    *,
    laws: dict[str, DelayLaw],
    law: DelayLaw,
    now: int,
    segments: dict[str, DelayLaw] | None = None,
    special_days: Collection[int] = (),
) -> BaselineModel:
    """Learn from cells: fit, trim what does not fit, fit again, then estimate the spread around the fit.

    Days in the calendar say nothing about other days: they are left out, unless there are no others.
    """
    usual = ~np.isin(history.hour // 24, list(special_days))
    if usual.any():
        history = _some(history, usual)
    index = [_codes([leaf[d] for leaf in history.leaves]) for d in range(3)]
    own = leaf_laws(history.leaves, segments=segments or {}, law=law)
    hours = np.arange(int(history.hour.min()), int(history.hour.max()) + 1)
    youngest = now - (hours + 1.0) * HOUR_MS
    shares = own.mean_shares(youngest, youngest + HOUR_MS)
    arrived = shares[own.of[history.row], history.hour - hours[0]]
    cells = history._replace(clicks=history.clicks * arrived)
    final, trimmed = _pass(cells, index), cells
    for _ in range(2):  # the first fit is itself pulled by what is to be trimmed
        trimmed = _some(cells, _kept(cells, final, _spread(cells, final, robust=True)))
        final = _pass(trimmed, index)
    model = _model(history, trimmed, final, index, laws=laws, law=law, now=now, spread=_spread(trimmed, final))
    return msgspec.structs.replace(model, segment_laws=segments or {}, special_days=sorted(special_days))


def _some(cells: History, kept: Mask) -> History:
    return cells._replace(
        row=cells.row[kept], hour=cells.hour[kept], clicks=cells.clicks[kept], conversions=cells.conversions[kept]
    )


def _pass(cells: History, index: list[tuple[Ints, list[str]]]) -> Fit:
    size = len(cells.leaves)
    profile = np.ones(HOURS_OF_WEEK)
    observed = _sums(cells.row, cells.conversions, size)
    main, effects = np.zeros(size), [np.ones(len(names)) for _, names in index]
    for _ in range(3):  # profile and rates depend on each other; three rounds settle both
        seasonal = cells.clicks * profile[cells.hour % HOURS_OF_WEEK]
        exposed = _sums(cells.row, seasonal, size)
        main, effects = main_effects(observed, exposed, [codes for codes, _ in index])
        profile = hour_profile(cells.hour, cells.conversions, cells.clicks * main[cells.row])
    exposed = _sums(cells.row, cells.clicks * profile[cells.hour % HOURS_OF_WEEK], size)
    expected = exposed * main
    concentration = gamma_concentration(observed, expected)
    rates = main * (observed + concentration) / (expected + concentration)
    own, borrowed = observed / (observed + concentration), concentration / (observed + concentration)
    errors = np.sqrt(
        own**2 / np.maximum(observed, 1) + borrowed**2 * (1 / concentration + _main_variance(observed, index))
    )
    return Fit(profile, main, effects, rates, errors, concentration)


def _main_variance(observed: Array, index: list[tuple[Ints, list[str]]]) -> Array:
    """Relative variance of the main-effects rate of each leaf: the factors' own counting errors added up."""
    variance = np.zeros(len(observed))
    for codes, names in index:
        if len(names) > 1:
            variance += 1 / (_sums(codes, observed, len(names)) + 1)[codes]
    return variance


def main_effects(
    observed: Array, exposed: Array, codes: list[Ints], *, prior: float = 2.0
) -> tuple[Array, list[Array]]:
    """Multiplicative main-effects Poisson fit by iterative proportional fitting; returns rates by leaf and the factors.

    `prior` conversions pull every factor towards one, so that a value with two clicks says nothing.
    """
    total = float(observed.sum())
    overall = total / max(float(exposed.sum()), 1e-9)
    factors = [np.ones(int(code.max()) + 1 if len(code) else 0) for code in codes]
    rates = np.full(len(observed), overall)
    for _ in range(30):
        for position, code in enumerate(codes):
            expected = _sums(code, rates * exposed, len(factors[position]))
            seen = _sums(code, observed, len(factors[position]))
            current = factors[position]
            # The prior counts as conversions at factor one: (S + k) / (M + k f), M being what factor f expects now.
            step = (seen + prior) / np.maximum(expected + prior * current, 1e-9)
            factors[position] = current * step
            rates = rates * step[code]
    return rates, factors


def gamma_concentration(observed: Array, expected: Array) -> float:
    """Concentration kappa of leaf effects ~ Gamma(kappa, kappa), by moments: Var(S) = M + M^2 / kappa (theory.md 2.8)."""
    excess = float(((observed - expected) ** 2 - expected).sum())
    squares = float((expected**2).sum())
    if squares <= 0:
        return 20.0
    return float(np.clip(squares / max(excess, 1e-9), 20.0, 100_000.0))


def hour_profile(hours: Ints, observed: Array, expected: Array) -> Array:
    """Factors by hour of week, mean 1: hour of day x day of week, then the residual, each shrunk by its own spread."""
    spans = int(hours.max() - hours.min()) + 1 if len(hours) else 0
    if spans < MINIMUM_PROFILE_HOURS:
        return np.ones(HOURS_OF_WEEK)
    week = np.arange(HOURS_OF_WEEK)
    at = hours % HOURS_OF_WEEK
    seen, due = _sums(at, observed, HOURS_OF_WEEK), _sums(at, expected, HOURS_OF_WEEK)
    factor = np.ones(HOURS_OF_WEEK)
    groups = [week % 24]
    if spans >= MINIMUM_WEEKDAY_HOURS:
        groups.append(week // 24)
    if spans >= MINIMUM_WEEK_HOURS:
        groups.append(week)
    for group in groups:
        size = int(group.max()) + 1
        seen_by, due_by = _sums(group, seen, size), _sums(group, due * factor, size)
        concentration = gamma_concentration(seen_by, due_by)
        factor = factor * ((seen_by + concentration) / (due_by + concentration))[group]
    mean = float((factor * due).sum() / max(due.sum(), 1e-9))
    normalised: Array = factor / mean
    return normalised


def _kept(cells: History, fitted: Fit, spread: Spread) -> Mask:
    """False for the hours of a campaign that no healthy hour looks like, given how far days of this fleet stray anyway."""
    expected = _expected(cells, fitted)
    kept: Mask = np.ones(len(cells.row), dtype=np.bool_)
    for hours in TRIM_HOURS:
        group = _campaign_hours(cells, hours=hours)
        due, seen = _sums(group, expected), _sums(group, cells.conversions)
        of_day = (spread.shared**2 + spread.campaign**2) * due**2
        strange = np.abs(seen - due) > TRIM_SIGMAS * np.sqrt(spread.dispersion * np.maximum(due, 1.0) * 1.44 + of_day)
        kept &= ~strange[group]
    return kept


def _spread(cells: History, fitted: Fit, *, robust: bool = False) -> Spread:
    campaigns, _ = _codes([leaf.campaign for leaf in cells.leaves])
    return spread_of(campaigns[cells.row], cells.hour, _expected(cells, fitted), cells.conversions, robust=robust)


def _expected(cells: History, fitted: Fit) -> Array:
    expected: Array = cells.clicks * fitted.rates[cells.row] * fitted.profile[cells.hour % HOURS_OF_WEEK]
    return expected


def _campaign_hours(cells: History, *, hours: int = 1) -> Ints:
    campaigns, _ = _codes([leaf.campaign for leaf in cells.leaves])
    pairs = campaigns[cells.row] * 1_000_000 + (cells.hour - cells.hour.min()) // hours
    return np.unique(pairs, return_inverse=True)[1].astype(np.int64)


def _sums(group: Ints, values: Array, size: int = 0) -> Array:
    """Sum of `values` by group."""
    return np.bincount(group, values, size).astype(np.float64)


def _codes(names: list[str]) -> tuple[Ints, list[str]]:
    values, codes = np.unique(np.asarray(names, dtype=object), return_inverse=True)
    return codes.astype(np.int64), [str(v) for v in values]


def _model(
    history: History,
    cells: History,
    fitted: Fit,
    index: list[tuple[Ints, list[str]]],
    *,
    laws: dict[str, DelayLaw],
    law: DelayLaw,
    now: int,
    spread: Spread,
) -> BaselineModel:
    codes, campaigns = index[0]
    by_leaf = _sums(cells.row, cells.conversions, len(history.leaves))
    by_campaign = _sums(codes, by_leaf, len(campaigns))
    conversions = float(cells.conversions.sum())
    seasonal = fitted.profile[cells.hour % HOURS_OF_WEEK]
    return BaselineModel(
        learned_at=now,
        history_from=int(history.hour.min()) * HOUR_MS,
        history_to=(int(history.hour.max()) + 1) * HOUR_MS,
        clicks=float(history.clicks.sum()),
        conversions=float(history.conversions.sum()),
        overall=conversions / max(float((cells.clicks * seasonal).sum()), 1e-9),
        effects={
            name: {value: float(f) for value, f in zip(names, factors, strict=True)}
            for name, (_, names), factors in zip(("campaign", "device", "page"), index, fitted.effects, strict=True)
        },
        campaign_conversions={name: float(n) for name, n in zip(campaigns, by_campaign, strict=True)},
        leaves={
            leaf_key(leaf): (float(r), float(e))
            for leaf, r, e in zip(history.leaves, fitted.rates, fitted.errors, strict=True)
        },
        profile=[float(f) for f in fitted.profile],
        profile_error=float(1 / np.sqrt(max(conversions / 24, 1.0))),
        new_campaign_error=_new_campaign_error(fitted.effects[0], by_campaign),
        mean_device_effect=_mean_effect(index[1][0][cells.row], fitted.effects[1], cells.clicks),
        dispersion=spread.dispersion,
        misfit=spread.shared,
        campaign_misfit=spread.campaign,
        laws=laws,
        law=law,
    )


def _mean_effect(codes: Ints, factors: Array, clicks: Array) -> float:
    total = float(clicks.sum())
    return float((factors[codes] * clicks).sum() / total) if total > 0 else 1.0


def _new_campaign_error(factors: Array, conversions: Array) -> float:
    """How far a campaign nobody has seen may lie from the others: the spread of the known ones."""
    known = factors[conversions >= 50]
    return float(np.std(np.log(known))) if len(known) >= 4 else UNKNOWN_CAMPAIGN_ERROR
