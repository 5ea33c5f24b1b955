"""One query per file, each with a header that states grain and columns, slots filled and values bound by the engine."""

from __future__ import annotations

import pytest

from core.errors import StoreError
from correlator import queries

OURS = [name for name in queries.names() if not name.startswith(("detection_", "explanation_"))]


@pytest.mark.parametrize("name", OURS)
def test_a_query_states_its_grain_and_columns(name: str) -> None:
    stated = queries.header(name)
    assert "condition, not a query" in stated or ("Grain:" in stated and "Columns:" in stated)


@pytest.mark.parametrize("name", OURS)
def test_a_file_holds_one_statement(name: str) -> None:
    assert ";" not in queries.text(name)


def test_a_slot_left_open_or_a_part_without_slot_is_an_error() -> None:
    with pytest.raises(StoreError, match="visible_campaign"):
        queries.compose("campaign_facts")
    with pytest.raises(StoreError, match="nonsense"):
        queries.compose("click_load_delay", {"nonsense": "SELECT 1"})


def test_an_unknown_query_is_an_error() -> None:
    with pytest.raises(StoreError, match="no query 'nothing'"):
        queries.text("nothing")


def test_only_what_the_text_uses_is_bound() -> None:
    assert queries.bind("SELECT {a:Int64}", {"a": 1, "b": 2}) == {"a": 1}
