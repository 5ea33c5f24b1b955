"""How exactly gaps are located: labelled tables of every family, by `clicktrace localize` and by two published methods."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from app.bench.localize_methods import METHODS, as_leaves
from app.bench.localize_tables import FAMILIES, Combination, LabelledTable
from core.errors import Invalid
from correlator.explanation.localize.causes import explain

#: Seconds of one core for a table of 100,000 rows.
LARGE_S = 10.0
LARGE_ROWS = 100_000


class Score(msgspec.Struct, kw_only=True):
    """Over the tables of one family. F1 over all returned causes; `top1`: tables whose first cause is a true one; `top3`: true causes among
    the first three, of those that fit there; `exact`: tables answered without any mistake; `seconds`: processor time of a table."""

    right: int = 0
    returned: int = 0
    true: int = 0
    top1: int = 0
    top3: int = 0
    top3_true: int = 0
    exact: int = 0
    tables: int = 0
    cpu_s: float = 0.0

    def add(self, found: Sequence[Combination], table: LabelledTable, seconds: float) -> None:
        """One table's answer."""
        right = len(table.truth & set(found))
        self.right += right
        self.returned += len(found)
        self.true += len(table.truth)
        self.top1 += bool(found[:1]) and found[0] in table.truth
        self.top3 += len(table.truth & set(found[:3]))
        self.top3_true += min(len(table.truth), 3)
        self.exact += right == len(found) == len(table.truth)
        self.tables += 1
        self.cpu_s += seconds

    def figures(self) -> dict[str, float | None]:
        """What is printed; None where a family has no causes to be found."""
        both = self.returned + self.true
        return {
            "f1": round(2 * self.right / both, 3) if self.true else None,
            "precision": round(self.right / self.returned, 3) if self.returned and self.true else None,
            "recall": round(self.right / self.true, 3) if self.true else None,
            "top1": round(self.top1 / self.tables, 3) if self.true else None,
            "top3": round(self.top3 / self.top3_true, 3) if self.true else None,
            "exact": round(self.exact / self.tables, 3),
            "returned_per_table": round(self.returned / self.tables, 2),
            "seconds": round(self.cpu_s / self.tables, 3),
        }


def run(
    *, tables: int, seed: int, families: Sequence[str], methods: Sequence[str], large: bool = True
) -> dict[str, Any]:
    """Every family by every method.

    Args:
        tables: of each family; seeds `seed` .. `seed + tables - 1`.
        families, methods: which; all where empty.
        large: whether a table of 100,000 rows is timed, too.

    Raises:
        Invalid: `no_family` or `no_method`.
    """
    _known(families, FAMILIES, "no_family")
    _known(methods, METHODS, "no_method")
    result: dict[str, Any] = {}
    for family in families or FAMILIES:
        scores = {method: Score() for method in methods or METHODS}
        for number in range(tables):
            table = FAMILIES[family](seed + number)
            for method, score in scores.items():
                began = time.process_time()
                found = METHODS[method](table)
                score.add(found, table, time.process_time() - began)
        result[family] = {method: score.figures() for method, score in scores.items()}
    answer = {"tables": tables, "seed": seed, "families": result}
    if not large:
        return {**answer, "missed": []}
    timed = _large(seed)
    missed = [] if timed["seconds"] <= LARGE_S else [f"large: {timed['seconds']} s, asked {LARGE_S}"]
    return {**answer, "large": timed, "missed": missed}


def _known(named: Sequence[str], known: dict[str, Any], reason: str) -> None:
    for name in named:
        if name not in known:
            raise Invalid(reason, f"there is no {name}; there are: {', '.join(known)}")


def _large(seed: int) -> dict[str, Any]:
    """100,000 rows of ten attributes with two causes."""
    rng = np.random.default_rng(seed)
    sizes = (8, 5, 4, 3, 6, 10, 4, 3, 5, 2)
    codes = np.unique(np.stack([rng.integers(0, size, LARGE_ROWS + 2000) for size in sizes], axis=1), axis=0)[
        :LARGE_ROWS
    ]
    expected = np.exp(rng.normal(2, 1.5, len(codes)))
    actual = expected * np.maximum(1 + rng.normal(0, 0.05, len(codes)), 0)
    causes = (frozenset({(0, 1), (1, 2)}), frozenset({(2, 3)}))
    for cause, kept in zip(causes, (0.5, 0.8), strict=True):
        actual = np.where(np.all([codes[:, a] == v for a, v in cause], axis=0), actual * kept, actual)
    leaves = as_leaves(LabelledTable(codes, actual, expected, frozenset(causes)))
    began = time.process_time()
    found = explain(leaves)
    seconds = round(time.process_time() - began, 2)
    named = {frozenset((int(leaves.names[a]), int(leaves.values[a][v])) for a, v in box.pairs) for box in found.causes}
    return {
        "rows": len(codes),
        "attributes": len(sizes),
        "seconds": seconds,
        "compared": found.compared,
        "right": named == set(causes),
    }
