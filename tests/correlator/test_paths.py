"""Paths computed by hand: whose clicks are on the way to a conversion, and what each model gives them, to the cent."""

from __future__ import annotations

from typing import Any

import pytest

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
#: What six clicks a day apart get of a conversion, oldest first, by hand.
PHONE, LAPTOP, TILL = "0a" * 16, "0b" * 16, "0c" * 16
A, B, C = "google:1:a", "google:1:b", "google:1:c"


def shared(world: Any, model: str = "", by: str = "campaign", **query: str) -> dict[str, tuple[str, str]]:
    """By value: (credit, value) in a model; "" = all of them must agree."""
    found = world.get("/attribution", **{**DAY, **({"by": by} if by != "campaign" else {}), **query})
    tables = {
        name: {
            row[by]: (row["credit"], row["value"])
            for row in found["rows"]
            if row["model"] == name and row["credit"] != "0.00"
        }
        for name in ([model] if model else {row["model"] for row in found["rows"]})
    }
    first = next(iter(tables.values()))
    assert all(table == first for table in tables.values()), tables
    return first


@pytest.fixture
def walked(world: Any) -> Any:
    """One visitor: A seven days before the sale, B half of that, then C, and an order of 100.00 at once after it."""
    world.click("2026-09-14T12:00:00Z", visitor_id=PHONE, campaign=A, page="shop.example/a")
    world.click(
        "2026-09-18T00:00:00Z", visitor_id=PHONE, campaign=B, page="shop.example/b", known="2026-09-21T11:00:00Z"
    )
    last = world.click("12:00", visitor_id=PHONE, campaign=C, page="shop.example/c")
    world.click("12:30", visitor_id=PHONE, campaign=A)
    world.conversion("12:00", click_id=last, value_micros=100_000_000, currency="USD", known="12:40")
    world.settle("13:00")
    return world


def test_each_model_shares_a_path_of_three_clicks_as_worked_out_by_hand(walked: Any) -> None:
    assert shared(walked, "last_click") == {C: ("1.00", "100.00")}
    assert shared(walked, "first_click") == {A: ("1.00", "100.00")}
    # 333,333 each, and the last millionth to the click nearest to the sale.
    assert shared(walked, "linear") == {
        A: ("0.333333", "33.333333"), B: ("0.333333", "33.333333"), C: ("0.333334", "33.333334"),
    }  # fmt: skip
    assert shared(walked, "position_based") == {A: ("0.40", "40.00"), B: ("0.20", "20.00"), C: ("0.40", "40.00")}
    # 2^-1, 2^-0.5 and 1, together 2.207107.
    assert shared(walked, "time_decay") == {
        A: ("0.226541", "22.654092"), B: ("0.320377", "32.037724"), C: ("0.453082", "45.308184"),
    }  # fmt: skip
