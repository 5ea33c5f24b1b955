"""The bench of `localize`: its tables are labelled as they say, and the product is better on them than the methods beside it."""

from __future__ import annotations

import numpy as np
import pytest

from app.bench import localize, localize_tables
from core.errors import Invalid

FAMILIES = ("counts of 30", "small", "clean")


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = localize.run(
        tables=3, seed=500, families=FAMILIES, methods=("clicktrace", "adtributor"), large=False
    )["families"]
    return found


def test_names_more_of_the_causes_exactly_than_adtributor(
    measured: dict[str, dict[str, dict[str, float]]],
) -> None:
    for family in FAMILIES[:2]:
        ours = measured[family]["clicktrace"]["f1"]
        assert ours >= measured[family]["adtributor"]["f1"]
    assert measured["counts of 30"]["clicktrace"]["f1"] >= 0.9


def test_clean_tables_get_no_cause(measured: dict[str, dict[str, dict[str, float]]]) -> None:
    assert measured["clean"]["clicktrace"]["returned_per_table"] <= 0.25


@pytest.mark.parametrize("family", list(localize_tables.FAMILIES))
def test_rows_of_a_cause_deviate_more_than_the_others(family: str) -> None:
    table = localize_tables.FAMILIES[family](7)
    inside = np.zeros(len(table.codes), dtype=bool)
    for cause in table.truth:
        inside |= np.all([table.codes[:, a] == v for a, v in cause], axis=0)
    assert bool(inside.any()) == (family != "clean")
    expected = table.expected
    if table.actual_total is not None and table.expected_total is not None:
        expected = table.actual_total * table.expected / np.maximum(table.expected_total, 1e-9)
    off = np.abs(table.actual - expected)
    if inside.any():
        assert off[inside].sum() / expected[inside].sum() > off[~inside].sum() / expected[~inside].sum()


def test_a_family_or_method_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no_family"):
        localize.run(tables=1, seed=1, families=("x",), methods=("clicktrace", "adtributor"), large=False)
    with pytest.raises(Invalid, match="no_method"):
        localize.run(tables=1, seed=1, families=(), methods=("x",), large=False)
