"""Money of several currencies: told in one at the rate of the day it happened, and never added where a rate is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import DAY_MS
from correlator.config import CorrelatorConfig
from correlator.exchange import Exchange, in_one_currency, without_rate
from correlator.explanation.window import read_campaigns
from tests.correlator.conftest import World

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}


@pytest.fixture
def config() -> CorrelatorConfig:
    listed = CorrelatorConfig().catalogue
    lead = listed["lead"].model_copy(update={"default_value": "40"})
    return CorrelatorConfig(reporting_currency="EUR", catalogue={**listed, "lead": lead})


def rows(world: Any, campaign: str = "google:1:2", **query: str) -> list[dict[str, Any]]:
    return [row for row in world.get("/roi", **(DAY | query))["rows"] if row["campaign"] == campaign]


def sell(world: Any, at: str, value: int, currency: str, *, campaign: str = "google:1:2") -> None:
    click = world.click(at, campaign=campaign)
    world.conversion(at, click_id=click, value_micros=value * 1_000_000, currency=currency)


def test_spend_and_orders_are_told_in_the_reporting_currency_at_the_days_rate(world: Any) -> None:
    world.rate("USD", 1.25, day="2026-09-18")
    world.rate("GBP", 0.8, day="2026-09-18")
    world.rate("USD", 2.0, day="2026-09-21")
    world.spend("2026-09-20T12:00:00Z", 100, known="2026-09-20T16:00:00Z", clicks=1)
    world.spend("09:00", 101, known="11:00", clicks=2)
    sell(world, "09:10", 80, "GBP")
    sell(world, "09:20", 50, "EUR")
    world.settle("2026-09-21T18:00:00Z")
    (row,) = rows(world)
    assert (row["cost"]["currency"], row["cost"]["spend"], row["outcome"]["value"]) == ("EUR", "50.50", "150.00")
    assert row["live"]["roas"] == pytest.approx(150 / 50.5)
    assert (row["cost"]["other_currencies"], row["outcome"]["other_currencies"]) == ({}, {})
    # Before today's rate was published, Friday's held: the question about noon is answered as it was at noon.
    (noon,) = rows(world, as_of="2026-09-21T12:00:00Z")
    assert (noon["cost"]["spend"], noon["outcome"]["value"]) == ("80.80", "150.00")
    # Every day has its own rate, a Sunday Friday's; and four quarters are the hour to the cent.
    days = rows(world, since="2026-09-20T00:00:00Z", grain="1d")
    assert [day["cost"]["spend"] for day in days] == ["80.00", "50.50"]
    quarters = rows(world, since="09:00", until="10:00", grain="15m")
    assert len(quarters) == 4
    assert round(sum(float(quarter["cost"]["spend"]) for quarter in quarters), 6) == 50.5
    credits = world.get("/attribution", **DAY)["rows"]
    assert [(one["currency"], one["conversions"], one["value"]) for one in credits] == [("EUR", 2.0, "150.00")] * 5


def test_what_has_no_rate_stands_apart_and_there_is_no_return_over_the_rest(world: Any) -> None:
    world.rate("USD", 1.25, day="2026-09-10")
    paid, sold, old = "google:1:3", "google:1:4", "google:1:5"
    sell(world, "09:10", 80, "EUR", campaign=paid)
    world.spend("09:00", 100, known="11:00", clicks=2, currency="TRY", campaign=paid)
    sell(world, "09:10", 80, "EUR", campaign=sold)
    sell(world, "09:20", 3_000, "TRY", campaign=sold)
    world.spend("09:00", 40, known="11:00", clicks=2, currency="EUR", campaign=sold)
    world.spend("09:00", 100, known="11:00", clicks=2, campaign=old)
    world.settle("12:00")
    (row,) = rows(world, paid)
    assert (row["cost"]["currency"], row["cost"]["spend"]) == ("EUR", "0.00")
    assert row["cost"]["other_currencies"] == {"TRY": "100.00"}
    assert (row["live"]["roas"], row["live"]["roi"], row["live"]["cost_per_conversion"]) == (None, None, None)
    # An order without a rate is still counted.
    (row,) = rows(world, sold)
    assert (row["outcome"]["conversions"], row["outcome"]["value"]) == (2, "80.00")
    assert row["outcome"]["other_currencies"] == {"TRY": "3000.00"}
    assert (row["live"]["roas"], row["live"]["cost_per_conversion"]) == (None, "20.00")
    # A rate that is too old is none.
    assert rows(world, old)[0]["cost"]["other_currencies"] == {"USD": "100.00"}
    assert without_rate(world.store, world.config, now=world.clock()) == ["TRY", "USD"]
    assert without_rate(world.store, world.config, now=world.clock() - 8 * DAY_MS) == ["TRY"]


def test_modelled_spend_and_the_catalogues_values_are_converted_too(world: Any) -> None:
    world.rate("USD", 2.0, day="2026-09-18")
    world.campaign("08:00", cpc_micros=2_000_000, currency="USD", source="push")
    for minute in range(10):
        click = world.click(f"09:{minute:02d}")
    # The catalogue's values are in the default currency, whatever a lead says.
    world.conversion("09:10", type="lead", currency="GBP", click_id=click)
    world.settle("09:30")
    (row,) = rows(world)
    assert (row["cost"]["modelled"], row["cost"]["cost_per_click"], row["cost"]["currency"]) == ("10.00", "1.00", "EUR")
    assert (row["outcome"]["value"], row["outcome"]["other_currencies"]) == ("20.00", {})


def test_a_margin_in_a_persons_currency_is_compared_with_clicks_in_the_accounts_or_decides_nothing(world: Any) -> None:
    world.rate("USD", 2.0, day="2026-09-18")
    for name, stated_in in (("google:1:2", "EUR"), ("google:1:3", "TRY")):
        world.campaign("08:00", currency="USD", name="Spring", campaign=name)
        world.campaign("08:00", currency=stated_in, margin_micros=10_000_000, source="push", campaign=name)
        world.spend("07:00", 100, known="08:30", clicks=50, campaign=name)
    world.settle("09:30")
    known, unknown = world.get("/campaigns")["campaigns"]
    assert (known["currency"], known["margin"], known["break_even_rate"]) == ("USD", "20.00", 0.1)
    assert (unknown["margin"], unknown["stated_currency"], unknown["break_even_rate"]) == ("10.00", "TRY", None)
    told = read_campaigns(world.store, money=world.config, now=world.clock())
    assert [(one.currency, one.cpc_micros, one.margin_micros) for one in told.values()] == [
        ("EUR", 1_000_000, 10_000_000),
        ("EUR", 1_000_000, 0),
    ]


def test_without_a_reporting_currency_everybody_is_told_in_his_own(
    store: Any, control: Any, journal: Any, ship: Any, clock: Any
) -> None:
    world = World(store, control, journal, ship, clock, CorrelatorConfig())
    world.rate("USD", 2.0, day="2026-09-18")
    world.campaign("08:00", currency="USD", name="Spring")
    world.campaign("08:00", currency="EUR", margin_micros=10_000_000, source="push")
    world.spend("07:00", 100, known="08:30", clicks=50)
    sell(world, "09:10", 80, "EUR")
    world.settle("09:30")
    (row,) = rows(world)
    assert (row["cost"]["currency"], row["outcome"]["other_currencies"], row["live"]["roas"]) == (
        "USD",
        {"EUR": "80.00"},
        None,
    )
    (facts,) = world.get("/campaigns")["campaigns"]
    assert (facts["margin"], facts["break_even_rate"]) == ("20.00", 0.1), "a margin is comparable all the same"


@given(st.integers(0, 10**13), st.floats(1e-4, 1e4), st.floats(1e-4, 1e4))
def test_an_amount_comes_back_when_it_is_converted_there_and_back(micros: int, one: float, other: float) -> None:
    exchange = Exchange({"AAA": one, "BBB": other})
    there = exchange.convert(micros, sold="AAA", bought="BBB")
    assert there is not None
    back = exchange.convert(there, sold="BBB", bought="AAA")
    assert back == pytest.approx(micros, rel=1e-9, abs=other / one + 1)


def test_without_a_rate_an_amount_is_none_and_never_taken_for_another() -> None:
    assert Exchange({"USD": 1.0}).convert(5, sold="USD", bought="TRY") is None
    assert Exchange().convert(5, sold="TRY", bought="TRY") == 5
    row = {
        "currency": "USD", "stated_in": "TRY", "cpc_basis": "trailing", "cpc_micros": 5, "margin_micros": 7, "target_cpl_micros": 0,
    }  # fmt: skip
    told = in_one_currency(row, Exchange(), reporting="EUR")
    assert (told.currency, told.cost_per_click_micros, told.margin_micros, told.target_cpl_micros) == (
        "USD",
        5,
        None,
        0,
    )
