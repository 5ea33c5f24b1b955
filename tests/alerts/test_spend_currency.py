"""What campaigns spend an hour is told in one currency where a rate leads there, and never added where none does."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.observations import Observations, observe
from alerts.proposals import _live_spend
from core.clock import DAY_MS
from core.records import Campaign, Click, Rate


def campaign(journal: Any, name: str, currency: str, cpc: int, now: int) -> None:
    journal.append(
        Campaign(
            ts=now, source="push", fact_id=f"campaign:{name}:push", campaign=name, platform="google", account="1",
            currency=currency, cpc_micros=cpc * 1_000_000,
        )
    )  # fmt: skip


def clicks(journal: Any, name: str, count: int, now: int) -> None:
    for number in range(count):
        journal.append(
            Click(
                ts=now - 60_000, source="redirect", click_id=f"{number + 1:032x}", hit_id=f"{number + 1:016x}", link_id="l",
                link_version=1, slug="s", domain="d", http_status=302, reason="ok", duration_us=50, campaign=name,
            )
        )  # fmt: skip


@pytest.fixture
def spending(journal: Any, clock: Any, ship: Any, store: Any) -> Any:
    """Three campaigns with ten clicks in a quarter of an hour, at 1 USD, 1 EUR and 100 TRY, and one that nobody described."""
    now = clock()
    for name, currency, cpc in (("google:1:1", "USD", 1), ("google:1:2", "EUR", 1), ("google:1:3", "TRY", 100)):
        campaign(journal, name, currency, cpc, now)
        clicks(journal, name, 10, now)
    clicks(journal, "google:1:4", 10, now)
    day = now - now % DAY_MS
    journal.append(Rate(ts=day, source="ecb", fact_id=f"rate:ecb:EUR:USD:{day}", base="EUR", currency="USD", rate=2.0))
    ship()
    return lambda reporting: observe(store, needed=(), now=now, reporting=reporting)


def spend(found: Observations) -> dict[str, tuple[float, str]]:
    return {name[-1]: (micros / 1e6, found.spend_currency[name]) for name, micros in found.live_spend_micros.items()}


def test_spend_is_told_in_the_reporting_currency_where_a_rate_leads_there(spending: Any) -> None:
    found = spending("EUR")
    assert {name: told for name, told in spend(found).items() if name in "123"} == {
        "1": (20.0, "EUR"),
        "2": (40.0, "EUR"),
        "3": (4_000.0, "TRY"),
    }
    assert spend(found)["4"] == (30.0, "EUR"), "as much as the others in the currency most are told in"
    assert found.spend_by_currency(["google:1:1", "google:1:2", "google:1:3"]) == {"EUR": 60e6, "TRY": 4_000e6}


def test_without_a_reporting_currency_every_campaign_is_told_in_its_own(spending: Any) -> None:
    told = spend(spending(""))
    assert (told["1"], told["2"], told["3"]) == ((40.0, "USD"), (40.0, "EUR"), (4_000.0, "TRY"))


def test_a_share_of_live_spend_is_a_share_of_comparable_money(spending: Any) -> None:
    found = spending("EUR")
    assert _live_spend(found, besides=(), like="google:1:1") == 90e6
    assert _live_spend(found, besides=("google:1:2",), like="google:1:1") == 50e6
    assert _live_spend(found, besides=(), like="google:1:3") == 4_000e6
