"""What `clicktrace bench ingest` can measure: one table of cases, each a module of its own, imported when it is asked for.

A case's module has `run(*, size: int, rounds: int) -> dict[str, object]`: figures, and the parameters that made them. What a figure must
reach on two idle cores stands here, in `at_least` and `at_most`, so that every case is judged in one place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

Measure = Callable[..., dict[str, object]]


class IngestCase(msgspec.Struct, frozen=True, kw_only=True):
    """`size` is how much one round brings in, counted in `unit`. Bounds are by the figure's name."""

    where: str
    about: str
    unit: str
    size: int
    rounds: int
    at_least: Mapping[str, float] = {}
    at_most: Mapping[str, float] = {}


CASES: Final[dict[str, IngestCase]] = {
    "store": IngestCase(
        where="app.bench.ingest_store:run",
        about="journal bytes to queryable rows, beside a bare engine insert of the same bytes",
        unit="lines",
        size=200_000,
        rounds=5,
    ),
    "otlp": IngestCase(
        where="app.bench.ingest_otlp:run",
        about="spans from exporters over HTTP into the monitor's journal, by share of paid traffic",
        unit="spans",
        size=1_000_000,
        rounds=1,
        at_least={"spans_per_s": 15_000},
        at_most={"lost": 0},
    ),
    "files": IngestCase(
        where="app.bench.ingest_files:run",
        about="rows of a CSV file into the journal, beside the standard library's reader and writer",
        unit="rows",
        size=500_000,
        rounds=3,
        at_least={"rows_per_s": 80_000},
    ),
    "runner": IngestCase(
        where="app.bench.ingest_runner:run",
        about="reading sources while nothing new comes: share of one core",
        unit="sources",
        size=20,
        rounds=1,
        at_most={"core_share": 0.02, "rows_written_again": 0},
    ),
    "conversions": IngestCase(
        where="app.bench.ingest_conversions:run",
        about="conversions in batches of 100 over HTTP into the monitor's journal",
        unit="items",
        size=50_000,
        rounds=3,
        at_least={"items_per_s": 5_000},
        at_most={"lost": 0},
    ),
}


def run(name: str, *, size: int = 0, rounds: int = 0) -> dict[str, object]:
    """One case's figures; `missed` lists the bounds that were not kept. 0 = the case's own size and rounds.

    Raises:
        KeyError: there is no such case.
    """
    case = CASES[name]
    module, _, function = case.where.partition(":")
    measure: Measure = getattr(importlib.import_module(module), function)
    figures = measure(size=size or case.size, rounds=rounds or case.rounds)
    return {"case": name, **figures, "missed": missed(case, figures)}


def missed(case: IngestCase, figures: Mapping[str, Any]) -> list[str]:
    """The bounds that these figures do not keep, in words."""
    low = [f"{name} under {bound:g}" for name, bound in case.at_least.items() if figures[name] < bound]
    return low + [f"{name} over {bound:g}" for name, bound in case.at_most.items() if figures[name] > bound]
