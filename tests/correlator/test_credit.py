"""Sharing out is exact: against fractions, for any path, in every model."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import DAY_MS
from core.store.client import Store
from correlator import queries
from correlator.attribution import MODELS, WHOLE

HALF_LIFE_MS = 7 * DAY_MS
a_path = st.tuples(
    st.integers(0, 10**15),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90 * DAY_MS)), min_size=1, max_size=12),
)


def by_hand(model: str, ages: list[int]) -> list[Fraction]:
    """The weights of a path's clicks, oldest first."""
    count = len(ages)
    if model == "time_decay":
        return [Fraction(round(2**32 * 2 ** ((ages[-1] - age) / HALF_LIFE_MS))) for age in ages]
    if model == "position_based" and count > 2:
        return [Fraction(2, 5), *[Fraction(1, 5 * (count - 2))] * (count - 2), Fraction(2, 5)]
    if model in ("linear", "position_based"):
        return [Fraction(1)] * count
    return [Fraction(place == (count - 1 if model == "last_click" else 0)) for place in range(count)]


def fair(total: int, weights: list[Fraction]) -> list[int]:
    """Whole parts by largest remainder; of equal ones the later click's is rounded up."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    first = sorted(range(len(parts)), key=lambda place: (exact[place] - parts[place], place), reverse=True)
    for place in first[: total - sum(parts)]:
        parts[place] += 1
    return parts


def literal(number: int, worth: int, steps: list[tuple[str, int]]) -> str:
    ordered = sorted(steps, key=lambda step: -step[1])
    told, ages = [step[0] for step in ordered], [step[1] for step in ordered]
    return (
        f"SELECT 't{number}' AS type, 'backend' AS origin, 'click_id' AS method, toFloat32(1) AS confidence, 'USD' AS currency,"
        f" toInt64({worth}) AS worth, {[int(age) for age in ages]}::Array(Int64) AS ages_ms, {told} AS told, {told} AS campaigns"
    )


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.lists(a_path, min_size=5, max_size=30))
def test_every_model_gives_what_fractions_give_and_all_of_it(store: Store, paths: list[tuple[int, Any]]) -> None:
    text = " UNION ALL ".join(literal(number, worth, steps) for number, (worth, steps) in enumerate(paths))
    sql = queries.compose("credit_from_path", {"paths": text})
    found = queries.read(store, sql, {"half_life_ms": HALF_LIFE_MS, "campaign_only": ""})
    for number, (worth, steps) in enumerate(paths):
        own = {row["value"]: row for row in found if row["type"] == f"t{number}"}
        ordered = sorted(steps, key=lambda step: -step[1])
        for place, model in enumerate(MODELS):
            weights = by_hand(model, [age for _, age in ordered])
            for column, total in (("credits", WHOLE), ("worths", worth)):
                expected: dict[str, int] = {}
                for (value, _), part in zip(ordered, fair(total, weights), strict=True):
                    expected[value] = expected.get(value, 0) + part
                assert {value: row[column][place] for value, row in own.items()} == expected, model
                assert sum(expected.values()) == total
        last = ordered[-1][0]
        assert {value: row["assisted"] for value, row in own.items()} == {value: int(value != last) for value in own}
