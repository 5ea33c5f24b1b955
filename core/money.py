"""Money is integer micros plus an ISO 4217 code; decimals appear only as text at the edges."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

MICROS = 1_000_000
SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
_CURRENCY = re.compile(r"^[A-Z]{3}$")
#: Above this a figure is a unit mistake (micros sent as currency units), not an order: 9.2e12 units fit an Int64.
MAX_UNITS = Decimal("9000000000000")
_PLAIN_DIGITS = 12


def to_micros(amount: str | int | float) -> int:
    """A decimal amount in currency units as integer micros, rounded half-even.

    Raises:
        ValueError: not a finite decimal number, or outside the range of a signed 64-bit integer.
    """
    text = str(amount)
    whole, point, part = text.partition(".")
    # Nearly every amount is digits, a point and up to six more: half the price of a Decimal, and nothing to round.
    if whole.isdecimal() and len(whole) <= _PLAIN_DIGITS and (part.isdecimal() if point else True) and len(part) <= 6:
        return int(whole) * MICROS + int(part.ljust(6, "0"))
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not a decimal amount such as 59.90") from None
    if not value.is_finite() or abs(value) > MAX_UNITS:
        raise ValueError(f"{amount!r} is not an amount we can keep (at most {MAX_UNITS} units)")
    return int((value * MICROS).to_integral_value())


def to_decimal(micros: int) -> str:
    """Integer micros as a decimal string with at least two places: 59900000 -> ``59.90``."""
    text = f"{Decimal(micros) / MICROS:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def spoken(micros: float, currency: str) -> str:
    """An amount as people say it, rounded: ``$4.50``, ``$410``, ``€1,300``, ``CHF 38``. For exact figures use `to_decimal`."""
    value = micros / MICROS
    text = f"{value:.2f}" if abs(value) < 10 else f"{round(value, -1 if abs(value) >= 1000 else 0):,.0f}"
    sign = SIGNS.get(currency)
    return f"{sign}{text}" if sign else f"{currency} {text}".strip()


@lru_cache(maxsize=1_024)
def check_currency(code: str) -> str:
    """An ISO 4217 code, unchanged.

    Raises:
        ValueError: not three upper-case letters.
    """
    if not _CURRENCY.match(code):
        raise ValueError(f"{code!r} is not an ISO 4217 currency such as EUR")
    return code
