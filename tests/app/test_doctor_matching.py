"""What doctor says of conversions without a click."""

from __future__ import annotations

from app.doctor_matching import told
from correlator.intervals import wilson
from correlator.unmatched import UnmatchedSource


def source(conversions: int, **by_reason: int) -> UnmatchedSource:
    unmatched = sum(by_reason.values())
    return UnmatchedSource(
        origin="backend", source="push", type="order", conversions=conversions, unmatched=unmatched,
        share=wilson(unmatched, conversions), by_reason=by_reason,
    )  # fmt: skip


def test_a_sender_of_unfilled_macros_is_named_with_the_way_to_mend_it() -> None:
    [found] = told([source(100, unusable_key=40, unseen_key=10)])
    assert (found.state, found.check) == ("warning", "matching")
    assert "40 of 100 orders of push" in found.text
    assert "address" in found.mend


def test_organic_sales_are_no_fault_and_no_sales_say_nothing() -> None:
    [found] = told([source(100, unseen_key=70)])
    assert (found.state, found.text) == ("ok", "30 of 100 conversions of the last day found their click")
    assert told([]) == []
