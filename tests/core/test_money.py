"""Amounts: exact micros inside, decimal text at the edges, rounded words for people."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import MICROS, check_currency, spoken, to_decimal, to_micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [("59.90", 59_900_000), ("0", 0), ("-3.5", -3_500_000), ("0.0000015", 2), ("0.0000005", 0), (12, 12 * MICROS)],
)
def test_a_decimal_amount_becomes_micros_rounded_half_even(text: str, micros: int) -> None:
    assert to_micros(text) == micros


@pytest.mark.parametrize("text", ["", "12,50", "NaN", "inf", "1e30", "twelve"])
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount"):
        to_micros(text)


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_micros_survive_the_way_through_text(micros: int) -> None:
    assert to_micros(to_decimal(micros)) == micros


@given(st.from_regex(r"[+-]?[0-9_ ]{0,14}(\.[0-9]{0,8})?(e[0-9])?", fullmatch=True))
def test_what_is_read_the_short_way_is_what_decimal_reads(text: str) -> None:
    try:
        exact = int((Decimal(text) * MICROS).to_integral_value())
    except InvalidOperation:
        with pytest.raises(ValueError, match="amount"):
            to_micros(text)
    else:
        assert abs(exact) > 9 * 10**18 or to_micros(text) == exact


@pytest.mark.parametrize(("micros", "text"), [(59_900_000, "59.90"), (1, "0.000001"), (-2_000_000, "-2.00")])
def test_a_decimal_has_at_least_two_places(micros: int, text: str) -> None:
    assert to_decimal(micros) == text


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [(4_500_000, "USD", "$4.50"), (410_300_000, "USD", "$410"), (10_529_310_000, "EUR", "€10,530"), (38_200_000, "CHF", "CHF 38")],
)  # fmt: skip
def test_people_hear_rounded_amounts(micros: int, currency: str, text: str) -> None:
    assert spoken(micros, currency) == text


@pytest.mark.parametrize("code", ["usd", "EURO", "", "E1R"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        check_currency(code)
