"""The delay law: which share of a click's conversions has arrived when the click is so old (theory.md 2.7).

Learned per lag class, per page and per campaign from observed delays, nonparametrically on log-spaced ages and with truncation respected: the conversions of a
young click that are still to come are not seen yet, so recent clicks would make every delay look short. The reverse-time hazard
(Lagakos, Barraj, De Gruttola, Biometrika 75:515, 1988) needs no rate and no parametric form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Name = TypeVar("Name")

SECOND_MS = 1_000
#: Ages of the nodes, in milliseconds: half a second to 30 days, eight to an octave would be noise, two are enough.
KNOTS_MS: tuple[float, ...] = tuple(float(x) for x in np.round(500 * 2 ** (np.arange(0, 46) / 2)))
#: A segment's law is compared with its parent's in so many bins that are equally likely under the parent.
COMPARED_BINS = 8
#: A campaign with fewer delays has its page's law.
CAMPAIGN_DELAYS = 200
#: A campaign's law has to lie this many standard deviations of chi-square away from its page's: thousands of laws that are all the same
#: law and noise would only cost time.
CAMPAIGN_SIGMAS = 3.0


class DelayLaw(msgspec.Struct, frozen=True, kw_only=True):
    """Cumulative distribution of the delay from click to conversion: linear between (`ages_ms`, `shares`), 0 at age 0.

    `conversions` is the number of delays it was learned from; 0 marks the law assumed without any history.
    """

    ages_ms: list[float]
    shares: list[float]
    conversions: int = 0

    def share_by(self, age_ms: npt.ArrayLike) -> Array:
        """F(age): share of the conversions that has arrived by `age_ms`; 0 for negative ages."""
        knots, values = self._nodes()
        return np.interp(np.asarray(age_ms, dtype=np.float64), knots, values, left=0.0, right=1.0)

    def mean_share(self, youngest_ms: npt.ArrayLike, oldest_ms: npt.ArrayLike) -> Array:
        """Mean of F over ages uniform in [youngest, oldest]: the share arrived of clicks spread evenly over a bucket."""
        low, high = np.asarray(youngest_ms, dtype=np.float64), np.asarray(oldest_ms, dtype=np.float64)
        mean: Array = (self._integral(high) - self._integral(low)) / np.maximum(high - low, 1.0)
        return mean

    def age_at(self, share: float) -> float:
        """The age in milliseconds by which `share` of the conversions has arrived."""
        knots, values = self._nodes()
        return float(np.interp(share, values, knots))

    def _nodes(self) -> tuple[Array, Array]:
        return np.concatenate([[0.0], self.ages_ms]), np.concatenate([[0.0], self.shares])

    def _integral(self, age: Array) -> Array:
        """Integral of F from 0 to `age`, exact for the linear pieces."""
        knots, values = self._nodes()
        area = np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(knots))])
        inside = np.clip(age, 0.0, knots[-1])
        at = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
        step = inside - knots[at]
        slope = (values[at + 1] - values[at]) / (knots[at + 1] - knots[at])
        beyond = np.maximum(age - knots[-1], 0.0)
        integral: Array = area[at] + values[at] * step + slope * step**2 / 2 + beyond
        return integral


class LeafLaws(NamedTuple):
    """The law of every leaf: distinct laws, and each leaf's position among them, so that ten thousand leaves need few curves."""

    laws: list[DelayLaw]
    of: Ints

    def mean_shares(self, youngest_ms: npt.ArrayLike, oldest_ms: npt.ArrayLike) -> Array:
        """`DelayLaw.mean_share` of every distinct law, laws x ages."""
        return np.stack([law.mean_share(youngest_ms, oldest_ms) for law in self.laws])


def one_law(law: DelayLaw, leaves: int) -> LeafLaws:
    """The same law for all leaves."""
    return LeafLaws([law], np.zeros(leaves, dtype=np.int64))


def assumed_law(median_ms: float = 30 * 60 * SECOND_MS) -> DelayLaw:
    """An exponential law for where nothing was observed yet."""
    ages = np.asarray(KNOTS_MS)
    shares = -np.expm1(-np.log(2) * ages / median_ms)
    return DelayLaw(ages_ms=list(KNOTS_MS), shares=[float(s) for s in shares / shares[-1]])


def learn_law(
    delays_ms: npt.ArrayLike,
    click_ages_ms: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    parent: DelayLaw | None = None,
    prior: float = 0.0,
) -> DelayLaw:
    """The law from conversions seen so far.

    Args:
        delays_ms: delay of each conversion, or of each group of them.
        click_ages_ms: age of its click at the time of looking: the longest delay that could have been seen.
        weights: conversions per entry; one each when left out.
        parent: law that this one is shrunk towards.
        prior: delays that the parent counts for, as if so many more had been drawn from it, all of them old enough to be seen.

    The reverse-time hazard of bin j is d_j / n_j with d_j delays inside it and n_j delays up to its end among clicks old enough to show
    its end; F at the bin's start = F at its end x (1 - d_j / n_j). Bins that nobody is old enough for are left out: F is
    then conditional on converting within the oldest age observed. With a parent they are the parent's.
    """
    delays = np.maximum(np.asarray(delays_ms, dtype=np.float64), 0.0)
    ages = np.asarray(click_ages_ms, dtype=np.float64)
    weight = np.ones_like(delays) if weights is None else np.asarray(weights, dtype=np.float64)
    total = float(weight.sum())
    if total < 1:
        return parent or assumed_law()
    ends = _ends_for(delays, ages) if parent is None else np.asarray(parent.ages_ms)
    added = np.zeros(len(ends)) if parent is None else prior * np.asarray(parent.shares)
    shares = np.ones(len(ends))
    for j in range(len(ends) - 1, 0, -1):
        old_enough = ages >= ends[j]
        below_end = weight[old_enough & (delays <= ends[j])].sum() + added[j]
        below_start = weight[old_enough & (delays <= ends[j - 1])].sum() + added[j - 1]
        shares[j - 1] = shares[j] * (below_start / below_end if below_end > 0 else 1.0)
    return DelayLaw(ages_ms=[float(e) for e in ends], shares=[float(s) for s in shares], conversions=int(total))


def learn_segment_laws(
    campaigns: Sequence[str],
    pages: Sequence[str],
    delays_ms: npt.ArrayLike,
    click_ages_ms: npt.ArrayLike,
    *,
    parent: DelayLaw,
    weights: npt.ArrayLike | None = None,
) -> dict[str, DelayLaw]:
    """Laws of pages, and of the campaigns on them that have enough delays, by `segment_key`; who has none of his own has his parent's.

    Shrunk towards the parent (page to `parent`, campaign to page) after James and Stein: with n delays whose chi-square distance from the
    parent's law is X2 on v degrees of freedom, the parent counts as n v / (X2 - v) delays; where X2 is no more than chance gives, the
    segment has no law of its own. Few delays, or delays like the parent's, so say little; many delays of another law say all.
    """
    delays = np.asarray(delays_ms, dtype=np.float64)
    ages = np.asarray(click_ages_ms, dtype=np.float64)
    weight = np.ones_like(delays) if weights is None else np.asarray(weights, dtype=np.float64)
    found: dict[str, DelayLaw] = {}
    of_page = _positions(pages)
    for page, at in of_page.items():
        law = _shrunk_law(delays[at], ages[at], weight[at], parent=parent)
        if law is not None:
            found[segment_key("", page)] = law
    for (campaign, page), at in _positions(list(zip(campaigns, pages, strict=True))).items():
        if weight[at].sum() >= CAMPAIGN_DELAYS and len(at) < len(of_page[page]):
            above = found.get(segment_key("", page), parent)
            law = _shrunk_law(delays[at], ages[at], weight[at], parent=above, sigmas=CAMPAIGN_SIGMAS)
            if law is not None:
                found[segment_key(campaign, page)] = law
    return found


def segment_key(campaign: str, page: str) -> str:
    """Name of a segment's law; without a campaign it is the page's."""
    return f"{campaign}|{page}"


def _shrunk_law(delays: Array, ages: Array, weight: Array, *, parent: DelayLaw, sigmas: float = 0.0) -> DelayLaw | None:
    """The segment's law between its own delays and its parent's, or None where it can't be told from the parent's."""
    freedom = COMPARED_BINS - 1
    distance = _distance(delays, ages, weight, parent)
    if distance <= freedom + sigmas * np.sqrt(2 * freedom):
        return None
    prior = float(weight.sum()) * freedom / (distance - freedom)
    return learn_law(delays, ages, weights=weight, parent=parent, prior=prior)


def _distance(delays: Array, ages: Array, weight: Array, law: DelayLaw) -> float:
    """Chi-square of the delays against `law`, each conditional on having come before its click's age."""
    ends = np.asarray([law.age_at(share) for share in np.linspace(0, 1, COMPARED_BINS + 1)])
    ends[0], ends[-1] = 0.0, np.inf
    seen = np.bincount(np.searchsorted(ends[1:-1], delays), weight, COMPARED_BINS)
    whole = np.maximum(law.share_by(ages), 1e-12)
    below = np.stack([law.share_by(np.minimum(end, ages)) / whole for end in ends])
    due = np.diff(below, axis=0) @ weight
    return float(((seen - due) ** 2 / np.maximum(due, 1.0)).sum())


def _positions(names: Sequence[Name]) -> dict[Name, Ints]:
    """Where each name stands."""
    found: dict[Name, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(name, []).append(position)
    return {name: np.asarray(at, dtype=np.int64) for name, at in found.items()}


def _ends_for(delays: Array, ages: Array) -> Array:
    """Ends of the bins: log-spaced, up to the first that covers every delay and that some click is old enough for."""
    knots = np.asarray(KNOTS_MS)
    covered = int(np.searchsorted(knots, delays.max())) + 1
    observable = max(int(np.searchsorted(knots, ages.max(), side="right")), 2)
    return knots[: max(2, min(covered, observable, len(knots)))]


def mix_laws(laws: dict[str, DelayLaw]) -> DelayLaw:
    """The law of all classes together, each weighted by its conversions."""
    known = [law for law in laws.values() if law.conversions > 0]
    if not known:
        return assumed_law()
    if len(known) == 1:
        return known[0]
    ages = np.unique(np.concatenate([law.ages_ms for law in known]))
    weights = np.asarray([law.conversions for law in known], dtype=np.float64)
    shares = np.average([law.share_by(ages) for law in known], axis=0, weights=weights)
    return DelayLaw(ages_ms=[float(a) for a in ages], shares=[float(s) for s in shares], conversions=int(weights.sum()))


def arrival_kernel(law: DelayLaw, *, bucket_ms: int, buckets: int) -> Array:
    """Share of the conversions of clicks in bucket 0 that arrives in bucket 0, 1, 2 … (clicks even over their bucket)."""
    ends = np.arange(1, buckets + 1) * float(bucket_ms)
    arrived = law.mean_share(np.maximum(ends - bucket_ms, 0.0), ends)
    # In its own bucket a click's age runs from 0 up to the bucket's width: mean_share over [0, width] is that already.
    kernel: Array = np.diff(np.concatenate([[0.0], arrived]))
    return kernel


def decode_law(data: Any) -> DelayLaw:
    """A law from plain JSON data."""
    return msgspec.convert(data, DelayLaw)
