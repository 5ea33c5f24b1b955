"""Causes as they are told: figures that follow from the given columns, and a sentence that carries them."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from correlator.explanation.localize.causes import Explanation
from correlator.explanation.localize.lattice import Box
from correlator.explanation.localize.leaves import Leaves, Measure
from correlator.explanation.localize.noise import Mask

#: Probability that a combination is exactly one of the true ones, given its score: logistic in ln(1 + score). docs/detection.md, "Where it broke".
CERTAIN_AT, CERTAIN_BY = 1.8, 0.34


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One combination of attribute values that explains a part of the gap.

    Attributes:
        attributes: column -> value; empty means everything.
        score: log-likelihood ratio less the price of the combination, nats; what the list is sorted by.
        actual, expected: sums of the columns over the combination's rows; of a ratio, ratios of sums.
        deviation: actual / expected - 1; None where nothing was expected.
        share: part of the whole table's gap between actual and expected; None where there is none. Of a ratio, the gap is counted in
            successes: what the rows' own trials would have brought at the expected ratios, less what they brought.
        log_likelihood_ratio: how much more likely these rows are with this cause than without, nats, the forecast's errors respected.
        probability: that the combination is exactly right, as often as it was on labelled tables.
        rows: combinations of all attributes that it covers.
        actual_count, actual_total, expected_count, expected_total: the sums behind a ratio, else None.
    """

    attributes: dict[str, str]
    score: float
    actual: float
    expected: float
    deviation: float | None
    share: float | None
    log_likelihood_ratio: float
    probability: float
    rows: int
    actual_count: float | None = None
    actual_total: float | None = None
    expected_count: float | None = None
    expected_total: float | None = None
    text: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The causes, best first, and sentences about the whole table."""

    causes: list[Cause]
    summary: list[str]


def report_of(leaves: Leaves, found: Explanation, measure: Measure) -> Report:
    """What is told of an explanation."""
    causes = [_cause(leaves, box, measure) for box in found.causes]
    return Report(causes=causes, summary=_summary(leaves, found, causes, measure))


def _cause(leaves: Leaves, box: Box, measure: Measure) -> Cause:
    rows = np.ones(len(leaves.actual), dtype=np.bool_)
    for attribute, value in box.pairs:
        rows &= leaves.codes[:, attribute] == value
    sums = [float(column[rows].sum()) for column in leaves.sums]
    actual, expected = (_ratio(sums[0], sums[2]), _ratio(sums[1], sums[3])) if measure.is_ratio else (sums[0], sums[1])
    whole_gap = float((leaves.expected - leaves.actual).sum())
    share = float((leaves.expected - leaves.actual)[rows].sum()) / whole_gap if abs(whole_gap) > 1e-9 else None
    cause = Cause(
        attributes={leaves.names[a]: leaves.values[a][v] for a, v in box.pairs},
        score=round(box.net, 3),
        actual=actual,
        expected=expected,
        deviation=actual / expected - 1 if expected else None,
        share=share,
        log_likelihood_ratio=round(box.gain, 3),
        probability=round(_probability(box.net), 3),
        rows=int(rows.sum()),
    )
    if measure.is_ratio:
        cause = msgspec.structs.replace(
            cause, actual_count=sums[0], expected_count=sums[1], actual_total=sums[2], expected_total=sums[3]
        )
    return msgspec.structs.replace(cause, text=_sentence(cause, measure))


def _ratio(count: float, total: float) -> float:
    return count / total if total else 0.0


def _probability(net: float) -> float:
    return 1 / (1 + math.exp(-(CERTAIN_AT + CERTAIN_BY * math.log1p(max(net, 0.0)))))


def _sentence(cause: Cause, measure: Measure) -> str:
    where = ", ".join(f"{name} = {value or '(empty)'}" for name, value in cause.attributes.items()) or "everything"
    if measure.is_ratio:
        seen = (
            f"{measure.actual} per {measure.actual_total} {cause.actual:.4g} ({cause.actual_count:,.6g} of {cause.actual_total:,.6g})"
            f" where {cause.expected:.4g} was expected ({cause.expected_count:,.6g} of {cause.expected_total:,.6g})"
        )
    else:
        seen = f"{measure.actual} {cause.actual:,.6g} where {cause.expected:,.6g} was expected"
    change = "" if cause.deviation is None else f", {cause.deviation:+.1%}"
    share = "" if cause.share is None else f"; {cause.share:.0%} of the whole gap"
    return (
        f"{where}: {seen}{change}{share}. {cause.log_likelihood_ratio:,.1f} nats more likely than no cause"
        f" ({cause.score:,.1f} after the price of naming it), {cause.probability:.0%} sure that it is exactly this."
    )


def _summary(leaves: Leaves, found: Explanation, causes: list[Cause], measure: Measure) -> list[str]:
    covered = _covered(leaves, found)
    gap = leaves.expected - leaves.actual
    noise = found.noise
    counted = "failures expected" if leaves.failures else "expected"
    lines = [
        f"{len(leaves.actual):,} combinations of {len(leaves.names)} attributes; {leaves.actual.sum():,.6g} counted, {leaves.expected.sum():,.6g} {counted}."
        if not measure.is_ratio
        else f"{len(leaves.actual):,} combinations of {len(leaves.names)} attributes; of the ratio, {leaves.actual.sum():,.6g} counted,"
        f" {leaves.expected.sum():,.6g} {counted} of the same trials.",
        f"Unaffected rows stray by {noise.tau:.1%} of their forecast{f', counts by {noise.phi:.3g} times their mean' if leaves.whole else ''}"
        f"{'' if noise.level == 1 else f'; all lie at {noise.level:.1%} of it'}"
        f"{'' if found.bias.spread == 0 else f'; forecasts of single attribute values are off by {found.bias.spread:.1%}'}.",
        f"{found.compared:,} combinations were compared; the others cannot be better.",
    ]
    if causes and abs(gap.sum()) > 1e-9:
        lines.append(f"Together the causes cover {gap[covered].sum() / gap.sum():.0%} of the gap.")
    if not causes:
        lines.append(
            "Nothing stands out: no combination deviates by more than the rows' own scatter and its price explain."
        )
    return [*lines, *leaves.notes]


def _covered(leaves: Leaves, found: Explanation) -> Mask:
    covered = np.zeros(len(leaves.actual), dtype=np.bool_)
    for box in found.causes:
        inside = np.ones(len(covered), dtype=np.bool_)
        for attribute, value in box.pairs:
            inside &= leaves.codes[:, attribute] == value
        covered |= inside
    return covered
