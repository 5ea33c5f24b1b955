"""What campaigns spend an hour: their own cost per click, else the usual one, never nothing by mistake."""

from __future__ import annotations

import pytest

from alerts.live_spend import Price, spend_of

EUR, USD = "EUR", "USD"


@pytest.mark.parametrize(
    ("prices", "spent"),
    [
        ({"a": Price(200_000, EUR)}, Price(600_000, EUR)),
        # Nobody knows its own: the mean of the others in its currency.
        ({"a": Price(0, EUR), "b": Price(100_000, EUR), "c": Price(300_000, EUR)}, Price(600_000, EUR)),
        ({"a": Price(0, USD), "b": Price(100_000, EUR), "c": Price(400_000, USD)}, Price(1_200_000, USD)),
        # Not even its currency: the one that most have.
        ({"b": Price(100_000, EUR), "c": Price(300_000, EUR), "d": Price(900_000, USD)}, Price(600_000, EUR)),
        # Two currencies as usual as each other: always the same one.
        ({"b": Price(100_000, EUR), "d": Price(900_000, USD)}, Price(2_700_000, USD)),
        ({}, Price(0, "")),
    ],
)
def test_three_clicks_cost_what_is_known_of_their_campaign(prices: dict[str, Price], spent: Price) -> None:
    assert spend_of({"a": 3}, prices) == {"a": spent}
