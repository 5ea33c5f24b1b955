"""A formula means the same in Python, SQL and PromQL, and says so when it means nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import formula
from core.errors import Invalid
from core.formula import Known


def told(text: str, **known: Known) -> float | None:
    return formula.evaluate(formula.parse(text), known)


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("a / b", {"a": 3, "b": 2}, 1.5),
        ("(a - b) / b", {"a": 150, "b": 100}, 0.5),
        ("a - b / b", {"a": 150, "b": 100}, 149),
        ("a / (b + c)", {"a": 6, "b": 1, "c": 2}, 2),
        ("a * b - 4", {"a": 3, "b": 5}, 11),
        ("-a + b", {"a": 3, "b": 5}, 2),
        ("a / b / c", {"a": 12, "b": 3, "c": 2}, 2),
        ("quantile(0.5, a)", {"a": [3, 1, 2]}, 2),
        ("quantile(0.95, a)", {"a": [0, 10]}, 9.5),
        ("quantile(1, a)", {"a": [0, 10]}, 10),
    ],
)
def test_arithmetic_is_done_as_it_is_written(text: str, known: dict[str, Known], expected: float) -> None:
    assert told(text, **known) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("a / b", {"a": 3, "b": 0}),
        ("a / b", {"a": None, "b": 2}),
        ("a / b", {"a": 3, "b": None}),
        ("(a + b) / c", {"a": 3, "b": None, "c": 1}),
        ("1 + a / b", {"a": 0, "b": 0}),
        ("quantile(0.5, a)", {"a": []}),
        ("quantile(0.5, a)", {"a": None}),
    ],
)
def test_what_has_no_base_or_is_not_known_is_blank_and_not_zero(text: str, known: dict[str, Known]) -> None:
    assert told(text, **known) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "a +", "a b", "a ** b", "a // b", "a % b", "a.b", "a[0]", "__import__('os')", "min(a, b)", "a if b else c", "'a'", "True", "a and b",
        "quantile(a)", "quantile(2, a)", "quantile(a, 0.5)", "quantile(0.5, a + b)", "quantile(0.5, q=a)", "(lambda: a)()",
    ],
)  # fmt: skip
def test_anything_but_arithmetic_of_names_and_numbers_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="bad_formula"):
        formula.parse(text)


def test_names_are_told_once_in_the_order_they_are_written() -> None:
    assert formula.names(formula.parse("(value - spend) / spend")) == ["value", "spend"]


def test_sql_is_null_and_promql_without_a_sample_where_there_is_no_base() -> None:
    parsed = formula.parse("(a - b) / (b + c)")
    columns = {"a": "x", "b": "y", "c": "z"}
    assert formula.to_sql(parsed, columns) == "(x - y) / nullIf(y + z, 0)"
    assert formula.to_promql(parsed, columns) == "(x - y) / (y + z > 0)"
    quantile = formula.parse("quantile(0.99, a)")
    assert formula.to_sql(quantile, columns) == "quantileOrNull(0.99)(x)"
    assert formula.to_promql(quantile, columns) == "histogram_quantile(0.99, x)"


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ("money / count", (1, 0)),
        ("money / money", (0, 0)),
        ("count * seconds", (0, 1)),
        ("money + money * count", (1, 0)),
    ],
)
def test_a_formula_knows_what_it_is_measured_in(text: str, measured: formula.Dimension) -> None:
    units = {"money": (1, 0), "count": (0, 0), "seconds": (0, 1)}
    assert formula.dimension(formula.parse(text), units) == measured


def test_money_and_clicks_cannot_be_added() -> None:
    with pytest.raises(Invalid, match="not measured alike"):
        formula.dimension(formula.parse("money + count"), {"money": (1, 0), "count": (0, 0)})


amounts = st.integers(0, 10**13)


@given(value=amounts, spend=amounts)
def test_a_return_is_the_nearest_number_to_the_exact_one(value: int, spend: int) -> None:
    found = told("(value - spend) / spend", value=value, spend=spend)
    assert found == (float(Fraction(value - spend, spend)) if spend else None)


#: Formulas of every shape, as text that Python reads the same way.
leaves = st.sampled_from(["a", "b", "c", "2", "0.5"])
shapes = st.recursive(
    leaves, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})")
)


@given(text=shapes, values=st.tuples(*[st.integers(1, 50)] * 3))
def test_brackets_survive_the_way_into_a_query(text: str, values: tuple[int, int, int]) -> None:
    """The rendered text, read again as arithmetic, has the value of the formula."""
    known = dict(zip("abc", values, strict=True))
    rendered = formula.to_sql(formula.parse(text), {name: name for name in known})
    plain = rendered.replace("nullIf", "").replace(", 0)", ")")
    expected = told(text, **known)
    again = told(plain, **known)
    assert again == pytest.approx(expected) if expected is not None else again is None
