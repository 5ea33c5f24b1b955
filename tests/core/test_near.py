from __future__ import annotations

import pytest

from core.near import MOST_NAMED, hint, nearest


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("keyfile", ["key_file", "name"], "key_file"),
        ("GCLID", ["gclid", "dclid", "fbclid"], "gclid"),
        ("Order ID", ["order_id", "crm_id"], "order_id"),
        ("conversion-id", ["click_id", "conversion_id"], "conversion_id"),
        ("when", ["ts", "value"], ""),
        ("port", [], ""),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case_and_separators(name: str, known: list[str], meant: str) -> None:
    assert nearest(name, known) == meant


def test_without_a_near_name_all_are_told_unless_there_are_too_many() -> None:
    assert hint("when", ["value", "ts"]) == "; known are ts, value"
    assert hint("valeu", ["value", "ts"]) == "; did you mean value?"
    assert hint("when", [f"field_{number}" for number in range(MOST_NAMED + 1)]) == ""
    assert hint("when", []) == ""
