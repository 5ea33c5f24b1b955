"""Money at the day's rate: what one unit of a currency is worth on a day, as the store answers it."""

from __future__ import annotations

from typing import Any

import pytest

from collectors import fact_ids
from core.clock import DAY_MS, parse_rfc3339
from core.records import Rate

FRIDAY = parse_rfc3339("2026-11-13T00:00:00Z")


@pytest.fixture
def tell(journal: Any, clock: Any) -> Any:
    def rate(
        currency: str, value: float, *, base: str = "EUR", day: int = FRIDAY, source: str = "ecb", known: int = 0
    ) -> None:
        clock.now = known or day + DAY_MS * 5 // 8
        journal.append(
            Rate(
                ts=day, source=source, fact_id=fact_ids.rate(source=source, base=base, currency=currency, ts=day),
                base=base, currency=currency, rate=value,
            )
        )  # fmt: skip

    return rate


@pytest.fixture
def factors(store: Any, ship: Any) -> Any:
    """{(currency, days after Friday): factor} into `reporting`, by the store's view."""

    def ask(reporting: str, *, days: int = 1, as_of: int = 9_000_000_000_000, age: int = 7) -> dict[Any, float]:
        ship()
        rows = store.rows(
            "SELECT currency, toUnixTimestamp(toDateTime(day, 'UTC')) * 1000 AS at, factor FROM factor_of_day("
            "reporting={reporting:String}, as_of={as_of:Int64}, since={since:Int64}, until={until:Int64}, rate_age_days={age:Int64})",
            {"reporting": reporting, "as_of": as_of, "since": FRIDAY, "until": FRIDAY + days * DAY_MS, "age": age},
        )
        return {(row["currency"], (int(row["at"]) - FRIDAY) // DAY_MS): float(row["factor"]) for row in rows}

    return ask


def test_everything_the_bank_quotes_is_worth_something_in_the_reporting_currency(tell: Any, factors: Any) -> None:
    tell("USD", 1.25)
    tell("GBP", 0.8)
    tell("JPY", 160.0)
    assert factors("EUR") == pytest.approx({("EUR", 0): 1, ("USD", 0): 0.8, ("GBP", 0): 1.25, ("JPY", 0): 1 / 160})
    assert factors("USD") == pytest.approx(
        {("EUR", 0): 1.25, ("USD", 0): 1, ("GBP", 0): 1.25 * 1.25, ("JPY", 0): 1.25 / 160}
    )


def test_a_weekend_has_fridays_rate_and_monday_its_own(tell: Any, factors: Any) -> None:
    tell("USD", 1.25)
    tell("USD", 2.0, day=FRIDAY + 3 * DAY_MS)
    found = factors("EUR", days=4)
    assert [found["USD", day] for day in range(4)] == pytest.approx([0.8, 0.8, 0.8, 0.5])


def test_a_rate_that_is_too_old_is_none(tell: Any, factors: Any) -> None:
    tell("USD", 1.25)
    found = factors("EUR", days=20, age=7)
    assert [day for currency, day in sorted(found) if currency == "USD"] == list(range(8))
    assert sum(currency == "EUR" for currency, _ in found) == 20, "one unit of the reporting currency is always one"
    tell("GBP", 0.8, day=FRIDAY + DAY_MS)
    assert ("GBP", 0) not in factors("EUR", days=2), "a day before the first rate has none"
    assert factors("") == {}, "without a reporting currency nothing is converted"


def test_an_own_rate_goes_before_the_central_banks(tell: Any, factors: Any) -> None:
    tell("USD", 1.25)
    tell("USD", 1.0, source="own")
    assert factors("EUR")["USD", 0] == 1.0
    tell("USD", 1.5, day=FRIDAY + DAY_MS)
    assert factors("EUR", days=2)["USD", 1] == 1.0, "while it is not too old"
    # It may quote what the bank does not, and against another base.
    tell("AED", 3.67, base="USD", source="own")
    assert factors("EUR")["AED", 0] == pytest.approx(1 / 3.67)
    assert factors("USD")["AED", 0] == pytest.approx(1 / 3.67)


def test_a_corrected_rate_is_a_new_version_and_as_of_knows_the_old_one(tell: Any, factors: Any) -> None:
    tell("USD", 1.25)
    tell("USD", 1.6, known=FRIDAY + 2 * DAY_MS)
    assert factors("EUR")["USD", 0] == pytest.approx(0.625)
    assert factors("EUR", as_of=FRIDAY + DAY_MS)["USD", 0] == pytest.approx(0.8)
    assert ("USD", 0) not in factors("EUR", as_of=FRIDAY)


def test_decades_of_rates_come_in_one_piece(tell: Any, factors: Any) -> None:
    for year in range(0, 28, 9):
        tell("USD", 1.0 + year / 100, day=FRIDAY - year * 365 * DAY_MS)
    assert factors("EUR")["USD", 0] == 1.0
