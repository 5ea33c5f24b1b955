"""A table of leaf rows as arrays: one leaf per combination of attribute values, and what was expected of it.

Counts are compared as they are. A ratio is compared as a count, too: the successes that the trials of the day should have brought at the
expected ratio (trials x expected successes / expected trials), so that a change in mix is no deviation. Where more than half succeed,
failures are counted instead: they are the ones that vary like counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.errors import Invalid

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

#: What an empty measure cell looks like in exports.
EMPTY = frozenset({"", "nan", "null", "none", "na", "n/a", "\\n"})


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """The columns by name. With both totals the measure is the ratio actual / actual_total."""

    actual: str
    expected: str
    actual_total: str = ""
    expected_total: str = ""

    @property
    def is_ratio(self) -> bool:
        return bool(self.actual_total)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in (self.actual, self.expected, self.actual_total, self.expected_total) if name)


class Sums(NamedTuple):
    """The measure's own columns by leaf; totals are empty where the measure is no ratio."""

    actual: Array
    expected: Array
    actual_total: Array
    expected_total: Array


class Leaves(NamedTuple):
    """`codes`: leaves x attributes, numbers into `values`. `actual` and `expected` are what is compared, `sums` what was given.

    `whole`: actual counts whole things. `failures`: a ratio is compared by its failures. `notes`: what was made of odd cells.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: Codes
    actual: Array
    expected: Array
    sums: Sums
    whole: bool
    failures: bool
    notes: tuple[str, ...]


def leaves_of(columns: Mapping[str, Sequence[str]], measure: Measure, *, attributes: Sequence[str] = ()) -> Leaves:
    """Leaves of a table given by columns of text.

    Args:
        attributes: which columns; all that the measure does not name where empty.

    Raises:
        Invalid: `no_column`, `total_missing`, `no_attributes`, `no_rows`, `not_a_number`, `negative_total`, `no_expectation`.
    """
    names = _attributes(columns, measure, attributes)
    notes: list[str] = []
    numbers = [_numbers(name, columns[name], notes) for name in measure.columns]
    if len(numbers[0]) == 0:
        raise Invalid("no_rows", "the table has a header and no rows; give one row per combination of attribute values")
    values, codes = _coded([columns[name] for name in names])
    codes, sums = _summed(codes, numbers, notes)
    return _compared(names, values, codes, sums, measure, notes)


def _attributes(columns: Mapping[str, Sequence[str]], measure: Measure, wanted: Sequence[str]) -> tuple[str, ...]:
    if bool(measure.actual_total) != bool(measure.expected_total):
        raise Invalid("total_missing", "a ratio needs both --actual-total and --expected-total; give both or neither")
    if len(set(measure.columns)) < len(measure.columns):
        raise Invalid(
            "same_column", "one column is named twice as a measure; actual and expected must be different columns"
        )
    for name in (*measure.columns, *wanted):
        if name not in columns:
            raise Invalid("no_column", f"there is no column {name}; there are: {', '.join(columns)}")
    names = tuple(dict.fromkeys(wanted)) or tuple(name for name in columns if name not in measure.columns)
    both = set(names) & set(measure.columns)
    if both:
        raise Invalid("same_column", f"{', '.join(sorted(both))} cannot be an attribute and a measure at once")
    if not names:
        raise Invalid("no_attributes", "every column is a measure; at least one attribute column is needed")
    return names


def _numbers(name: str, cells: Sequence[str], notes: list[str]) -> Array:
    """The column as numbers. An empty cell is nothing counted: joins leave them where one side has no row."""
    found = np.empty(len(cells))
    empty = 0
    for at, cell in enumerate(cells):
        text = cell.strip()
        if text.lower() in EMPTY:
            found[at] = 0.0
            empty += 1
            continue
        try:
            found[at] = float(text)
        except ValueError:
            found[at] = math.nan
        if not math.isfinite(found[at]):
            raise Invalid(
                "not_a_number",
                f"row {at + 2}, column {name}: {cell!r} is not a number; write plain decimals such as 1234.5, without units or thousands separators",
            )
    if empty:
        notes.append(f"{empty} empty cells in {name} were read as 0")
    return found


def _coded(columns: Sequence[Sequence[str]]) -> tuple[tuple[tuple[str, ...], ...], Codes]:
    values, codes = [], []
    for column in columns:
        numbers: dict[str, int] = {}
        codes.append([numbers.setdefault(cell.strip(), len(numbers)) for cell in column])
        values.append(tuple(numbers))
    return tuple(values), np.array(codes, dtype=np.int64).T


def _summed(codes: Codes, numbers: list[Array], notes: list[str]) -> tuple[Codes, list[Array]]:
    """Rows of one combination added up: the search needs one row per leaf."""
    unique, leaf = np.unique(codes, axis=0, return_inverse=True)
    if len(unique) == len(codes):
        return codes, numbers
    notes.append(
        f"{len(codes)} rows are {len(unique)} combinations of attribute values; rows of one combination were added up"
    )
    return unique, [np.bincount(leaf.ravel(), column).astype(np.float64) for column in numbers]


def _compared(
    names: tuple[str, ...],
    values: tuple[tuple[str, ...], ...],
    codes: Codes,
    numbers: list[Array],
    measure: Measure,
    notes: list[str],
) -> Leaves:
    nothing = np.zeros(len(codes))
    sums = Sums(*numbers) if measure.is_ratio else Sums(numbers[0], numbers[1], nothing, nothing)
    actual, expected, failures = sums.actual, sums.expected, False
    if measure.is_ratio:
        actual, expected, failures = _as_counts(sums, measure)
    kept = (actual != 0) | (expected != 0)
    if not np.any(expected != 0):
        what = f"{measure.expected} is 0 in every row"
        if measure.is_ratio:
            what = f"no row has {measure.actual_total} and an expected ratio above 0"
        raise Invalid("no_expectation", f"{what}; there is nothing to compare with")
    actual, expected = actual[kept], expected[kept]
    whole = bool(np.all(actual == np.round(actual)))
    return Leaves(
        names=names,
        values=values,
        codes=codes[kept],
        actual=actual,
        expected=_with_least(expected, whole=whole, notes=notes),
        sums=Sums(*(column[kept] for column in sums)),
        whole=whole,
        failures=failures,
        notes=tuple(notes),
    )


def _as_counts(sums: Sums, measure: Measure) -> tuple[Array, Array, bool]:
    for name, column in ((measure.actual_total, sums.actual_total), (measure.expected_total, sums.expected_total)):
        if np.any(column < 0):
            raise Invalid(
                "negative_total", f"{name} has negative values; a ratio is over how many there were, 0 or more"
            )
    overall = sums.expected.sum() / max(sums.expected_total.sum(), 1e-12)
    ratio = np.divide(
        sums.expected, sums.expected_total, out=np.full(len(sums.expected), overall), where=sums.expected_total > 0
    )
    if overall > 0.5 and _whole_shares(sums):
        return sums.actual_total - sums.actual, sums.actual_total * (1 - ratio), True
    return sums.actual, sums.actual_total * ratio, False


def _whole_shares(sums: Sums) -> bool:
    """Whether whole successes are part of whole trials: only then is the rest a count, too."""
    whole = all(bool(np.all(column == np.round(column))) for column in (sums.actual, sums.actual_total))
    return bool(
        whole
        and np.all((sums.actual >= 0) & (sums.actual <= sums.actual_total))
        and np.all((sums.expected >= 0) & (sums.expected <= sums.expected_total * (1 + 1e-9)))
    )


def _with_least(expected: Array, *, whole: bool, notes: list[str]) -> Array:
    """Something small where nothing was expected and something came: no multiple of 0 explains it."""
    none = expected == 0
    if not none.any():
        return expected
    least = float(np.quantile(np.abs(expected[~none]), 0.1)) / 2
    least = min(least, 0.5) if whole else least
    notes.append(f"{int(none.sum())} combinations of which nothing was expected were compared with {least:.3g}")
    return np.where(none, least, expected)
