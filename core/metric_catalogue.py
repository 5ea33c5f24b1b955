"""Every figure that people steer by, defined once: `metric_catalogue.yaml`, and its formula worked out wherever it is shown.

A **quantity** is what is counted, with the table and the aggregate that count it; a **metric** is arithmetic over quantities. Reports work it
out with `value` and `amount`, queries of the store and of Prometheus with `core.metric_queries`: all from the one line in the catalogue.

    Refusals (`Invalid`):  unknown_metric, unknown_quantity, missing_quantity, bad_formula, not_in_store, not_in_prometheus
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from core import formula
from core.errors import ClicktraceError, Invalid
from core.formula import Compiled, Formula, Known
from core.yaml_file import read_yaml

FILE: Final = Path(__file__).with_name("metric_catalogue.yaml")

#: money: whole micros of one currency; a count and a ratio have no unit of measurement.
Unit = Literal["money", "count", "ratio", "seconds"]
Tier = Literal["real-time", "operational", "strategic", "financial"]
#: Who owns a metric and who hears of it; the same words as in the rules.
Party = Literal["media-buying", "platform", "analytics", "finance"]
_DIMENSIONS: Final[dict[Unit, formula.Dimension]] = {
    "money": (1, 0),
    "count": (0, 0),
    "ratio": (0, 0),
    "seconds": (0, 1),
}


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the store counts a quantity: `aggregate` over the rows of `table` that `where` keeps, each at its `time`."""

    table: str
    aggregate: str
    where: str = ""
    time: str = "ts"

    @property
    def expression(self) -> str:
        """The aggregate over all rows of the table: ``sum(x)`` of some of them is ``sumIf(x, …)``."""
        if not self.where:
            return self.aggregate
        name, _, arguments = self.aggregate.removesuffix(")").partition("(")
        return f"{name}If({arguments}{', ' if arguments else ''}{self.where})"


class Series(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Prometheus metric that counts a quantity. A histogram is read by quantiles; `labels` selects, as between PromQL's braces."""

    metric: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: str = ""

    def over(self, span: str) -> str:
        """What was counted in the span, all series together; of a gauge, what it says now."""
        chosen = f"{{{self.labels}}}" if self.labels else ""
        if self.kind == "histogram":
            return f"sum by (le) (rate({self.metric}_bucket{chosen}[{span}]))"
        return (
            f"sum(increase({self.metric}{chosen}[{span}]))" if self.kind == "counter" else f"sum({self.metric}{chosen})"
        )


class Quantity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is counted. A quantity of single measurements (`single`) is read by quantiles only; its aggregate is the value of one row."""

    title: str
    unit: Unit
    #: The column of a query in correlator/sql that reports take it from: as-of, by campaign and bucket.
    report: str = ""
    store: Reading | None = None
    prometheus: Series | None = None
    single: bool = False
    sources: tuple[str, ...]
    filters: str
    #: What code and queries call it besides its own name.
    also_called: tuple[str, ...] = ()


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a figure is out of order. `of` says what it is compared with, `steered_by` which setting or rule holds the limit."""

    above: float | None = None
    below: float | None = None
    of: Literal["itself", "baseline", "target", "break_even"] = "itself"
    steered_by: str


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure with its one formula, and what happens when it is out of order."""

    title: str
    meaning: str
    unit: Unit
    formula: str
    tier: Tier
    owner: Party
    threshold: Threshold | None = None
    told: tuple[Party, ...]
    response: str
    runbook: str = ""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantities: dict[str, Quantity]
    metrics: dict[str, Metric]

    def metric(self, name: str) -> Metric:
        """Raises:
        Invalid: `unknown_metric`.
        """
        if name not in self.metrics:
            raise Invalid("unknown_metric", f"there is no metric {name!r}; `clicktrace metrics list` names them")
        return self.metrics[name]

    def made_of(self, name: str) -> dict[str, Quantity]:
        """The quantities of a metric's formula, in the order it names them."""
        return {one: self.quantities[one] for one in formula.names(_parsed(self.metric(name).formula))}


@cache
def catalogue() -> Catalogue:
    """The catalogue that comes with the program."""
    return read_catalogue(FILE)


def read_catalogue(path: Path) -> Catalogue:
    """A catalogue file, with every formula read and measured.

    Raises:
        ClicktraceError: the file is not what it should be; the sentence names each problem.
    """
    file = read_yaml(path, called=path.name, expected="quantities and metrics")
    try:
        found = msgspec.convert(file.values, Catalogue)
        problems = [*file.problems, *_problems(found)]
    except msgspec.ValidationError as error:
        problems = [*file.problems, str(error)]
    if problems:
        raise ClicktraceError(f"{path.name}: " + "; ".join(problems))
    return found


def value(name: str, /, **known: Known) -> float | None:
    """A metric's value from its quantities, each by its name; money in micros.

    Returns:
        None where a quantity is not known (None) or a base is nothing.

    Raises:
        Invalid: `unknown_metric`, `unknown_quantity`, `missing_quantity`.
    """
    worked_out, made_of, parsed = _prepared(name)
    # Reports ask this for every row: as many names as the formula has, and each that it asks for, are the right ones.
    try:
        if len(known) == made_of:
            return worked_out(known)
    except KeyError:
        pass
    same_names(name, formula.names(parsed), known)
    return worked_out(known)


def amount(name: str, /, **known: Known) -> int | None:
    """The same of a metric of money, in whole micros."""
    found = value(name, **known)
    return None if found is None else round(found)


def formula_of(name: str) -> Formula:
    """Raises:
    Invalid: `unknown_metric`.
    """
    return _parsed(catalogue().metric(name).formula)


def same_names(name: str, made_of: list[str], given: Mapping[str, object]) -> None:
    """Raises:
    Invalid: `unknown_quantity`, `missing_quantity`.
    """
    for one in given:
        if one not in made_of:
            raise Invalid("unknown_quantity", f"{name} is made of {', '.join(made_of)}, not of {one!r}")
    for one in made_of:
        if one not in given:
            raise Invalid("missing_quantity", f"{name} is made of {', '.join(made_of)}: {one} was not given")


@cache
def _prepared(name: str) -> tuple[Compiled, int, Formula]:
    parsed = formula_of(name)
    return formula.compiled(parsed), len(formula.names(parsed)), parsed


@cache
def _parsed(text: str) -> Formula:
    return formula.parse(text)


def _problems(found: Catalogue) -> list[str]:
    """What a reader of the file would have to mend: formulas that cannot be read, of things nobody counts, in the wrong unit."""
    return [problem for name, metric in found.metrics.items() for problem in _formula_problems(name, metric, found)]


def _formula_problems(name: str, metric: Metric, found: Catalogue) -> list[str]:
    try:
        parsed = _parsed(metric.formula)
        missing = [one for one in formula.names(parsed) if one not in found.quantities]
        if missing:
            return [f"{name}: nothing counts {', '.join(missing)}"]
        measured = formula.dimension(parsed, {one: _DIMENSIONS[q.unit] for one, q in found.quantities.items()})
    except Invalid as error:
        return [f"{name}: {error.detail}"]
    return [] if measured == _DIMENSIONS[metric.unit] else [f"{name}: its formula is not measured in {metric.unit}"]
