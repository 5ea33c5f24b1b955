"""Missing conversions: modelled from the clicks that were seen, never above the limits, beside what was observed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import HOUR_MS, MINUTE_MS
from correlator.missing import Missing, model
from tests.correlator.conftest import CAMPAIGN, moment

KNOWN = "10:00"


def row(**counts: int) -> dict[str, Any]:
    given_ = {
        "seen": 1000,
        "seen_sold": 100,
        "declined": 0,
        "declined_sold": 0,
        "unseen": 0,
        "unseen_sold": 0,
        "unattributed": 1000,
    }
    return {"campaign": "c", "shown": True, **given_, **counts}


def modelled(*, share: float = 1.0, hidden: int = 0, **counts: int) -> Missing:
    told = row(**counts)
    return model(told, hidden_everywhere=hidden or told["declined"] + told["unseen"], share=share)


def test_clicks_without_consent_are_taken_to_convert_like_those_seen() -> None:
    found = modelled(declined=400)
    assert found.consent.modelled == pytest.approx(40.0)
    # Wilson: 8.29 to 12.02 % of those seen, 0 to 0.95 % of the others; 10 % - sqrt(1.71^2 + 0.95^2) % and 10 % + 2.02 %.
    assert (round(found.consent.low, 1), round(found.consent.high, 1)) == (32.2, 48.1)
    assert (found.observed, found.capped) == (100, "")
    with_some = modelled(declined=400, declined_sold=10)
    assert with_some.consent.modelled == pytest.approx(30.0), "what was matched all the same is not missing"
    assert with_some.observed == 110


def test_of_clicks_without_a_page_view_perhaps_nobody_is_missing() -> None:
    found = modelled(unseen=400)
    assert (found.blockers.modelled, found.low) == (pytest.approx(40.0), 0.0)


@pytest.mark.parametrize(
    ("counts", "refusal"),
    [
        ({"declined": 0}, "no_clicks"),
        ({"declined": 400, "seen": 99, "seen_sold": 50}, "too_few_clicks"),
        ({"declined": 400, "declined_sold": 38}, "no_difference"),
        ({"declined": 4}, "no_difference"),
    ],
)
def test_nothing_is_modelled_on_thin_ground(counts: dict[str, int], refusal: str) -> None:
    found = modelled(**counts)
    assert (found.consent.refusal, found.modelled, found.high) == (refusal, 0.0, 0.0)


def test_modelled_is_held_at_the_stated_share_and_at_what_found_no_click() -> None:
    by_share = modelled(declined=400, share=0.1)
    assert (by_share.modelled, by_share.high, by_share.capped) == (
        pytest.approx(10.0),
        pytest.approx(10.0),
        "observed_share",
    )
    # Twelve conversions found no click; half of all clicks that could not be followed are this campaign's.
    by_rest = modelled(declined=300, unseen=100, unattributed=12, hidden=800)
    assert (by_rest.modelled, by_rest.capped) == (pytest.approx(6.0), "unattributed")
    assert by_rest.consent.modelled == pytest.approx(3 * by_rest.blockers.modelled)
    assert modelled(declined=400, unattributed=0).modelled == 0.0


counts = st.integers(min_value=0, max_value=5000)


@given(counts, counts, counts, counts, st.floats(min_value=0, max_value=1))
def test_limits_hold_whatever_was_counted(
    seen: int, declined: int, unseen: int, unattributed: int, share: float
) -> None:
    found = modelled(
        seen=seen, seen_sold=seen // 7, declined=declined, declined_sold=declined // 90, unseen=unseen, unattributed=unattributed,
        share=share,
    )  # fmt: skip
    assert 0 <= found.low <= found.modelled + 1e-9 <= found.high + 2e-9
    assert found.high <= found.limit + 1e-9 <= min(share * found.observed, unattributed) + 2e-9


def test_through_the_journal_consent_page_views_and_conversions_decide(world: Any) -> None:
    start = moment("09:00")
    for number in range(120):  # seen; every fourth buys
        click = world.click(start + number, known=KNOWN)
        world.touch(KNOWN, "page_view", click)
        if number % 4 == 0:
            world.conversion(start + MINUTE_MS, click_id=click, known=KNOWN)
    for number in range(80):
        world.click(start + number, known=KNOWN, consent="no" if number % 2 else "gpc")
    for number in range(40):
        world.click(start + number, known=KNOWN)
    world.click(start, known=KNOWN, campaign="google:1:9", user_agent="curl/8", bot_signals=["no_user_agent"])
    for _ in range(30):
        world.conversion(start + HOUR_MS - MINUTE_MS, known=KNOWN)
    world.settle("12:00")
    (found,) = world.get("/missing-conversions", since="09:00", until="10:01")["rows"]
    assert (found["campaign"], found["seen_clicks"], found["observed"]) == (CAMPAIGN, 120, 30)
    assert (found["consent"]["clicks"], found["blockers"]["clicks"]) == (80, 40)
    # 20 of those who declined and 10 of those without a page view would have bought; at most 30 % of 30 are told.
    assert (found["modelled"], found["capped"], found["limit"]) == (
        pytest.approx(9.0),
        "observed_share",
        pytest.approx(9.0),
    )
    assert found["consent"]["modelled"] == pytest.approx(6.0)
    assert world.get("/roi", since="09:00", until="10:01", campaign=CAMPAIGN)["rows"][0]["outcome"]["conversions"] == 30
    assert world.get("/missing-conversions", since="09:00", until="10:01", campaign="google:1:9")["rows"] == []
