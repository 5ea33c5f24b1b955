"""Two systems that count as many and tell other money: a currency that was taken for another, or that no rate leads from. Pure."""

from __future__ import annotations

from typing import Final

from core.money import to_decimal
from correlator.breaks.model import Break, Cause, Signs, cause_of

#: Amounts this close are the same number; rates move more than that within days.
_CLOSE: Final = 0.01


def currency(found: Break, signs: Signs) -> Cause | None:
    """Why sums differ where counts agree."""
    if found.kind != "sum":
        return None
    return _same_number(found, signs) or _without_rate(found, signs) or _factor_of_a_rate(found, signs)


def in_currency(sums: dict[str, int], rates: dict[str, float]) -> float:
    """Micros of the currency that the rates are told in; what has no rate is left out."""
    return sum(micros * rates[name] for name, micros in sums.items() if rates.get(name, 0.0) > 0)


def _same_number(found: Break, signs: Signs) -> Cause | None:
    """100 dollars where the other says 100 euros: one of them names the wrong currency."""
    if set(signs.sums) == set(signs.true_sums) or not _near(sum(signs.sums.values()), sum(signs.true_sums.values())):
        return None
    said = f"{found.system} tells {_told(signs.sums)}, {found.believed} {_told(signs.true_sums)}: the same number, another currency"
    return cause_of("currency", found.difference, found, said)


def _without_rate(found: Break, signs: Signs) -> Cause | None:
    """Money that could not be converted is in none of the sums, so its side is too small; by how much nobody can say."""
    missing = {name: micros for name, micros in signs.sums.items() if not signs.rates.get(name)}
    lacking = {name: micros for name, micros in signs.true_sums.items() if not signs.rates.get(name)}
    apart = missing if found.difference < 0 else lacking
    if not apart:
        return None
    said = f"{_told(apart)} have no rate to {found.currency} and are in neither sum"
    return Cause(cause="currency", amount=found.difference, fit=0.5, evidence=(said,))


def _factor_of_a_rate(found: Break, signs: Signs) -> Cause | None:
    """The sums stand in the ratio of a rate: converted once too often, or not at all."""
    if found.expected <= 0:
        return None
    ratio = found.count / found.expected
    for name, rate in sorted(signs.rates.items()):
        if rate <= 0 or _near(rate, 1.0):
            continue
        for factor in (rate, 1 / rate):
            if _near(ratio, factor):
                said = f"{found.system} tells {ratio:.3f} times the sum; 1 {name} is {rate:.3f} {found.currency}"
                return cause_of("currency", (factor - 1) * found.expected, found, said)
    return None


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _CLOSE * max(abs(one), abs(other))


def _told(sums: dict[str, int]) -> str:
    return " and ".join(f"{to_decimal(micros)} {name}".rstrip() for name, micros in sorted(sums.items()))
