from typing import Any

import numpy as np

from core.incidents import Verdict
from correlator.explanation.evidence import Situation, gather
from correlator.explanation.service_health import Change, Proof
from correlator.explanation.verdict import conclude

FAILING = Change("errors", "orders", "POST /order", "mobile", 0.01, 0.8, 200, 60.0)
SLOW = Change("slow", "web", "GET /x", "mobile", 0.01, 0.9, 200, 80.0, 1.0)


def verdict_of(window: Any, *, changes: Any = (), proofs: Any = None, inside: Any = None, seen: bool = True) -> Verdict:
    mask = np.ones(len(window.cells), dtype=bool) if inside is None else np.asarray([inside(c) for c in window.cells])
    return next(iter(conclude(gather(Situation(window, mask, 60, changes, proofs or {}, seen)))))


def test_a_failing_route_means_a_failing_site(window: Any) -> None:
    proofs = {"errors": Proof(60, 0, 900, 70)}
    assert verdict_of(window(keeps=lambda c: 0.3), changes=[FAILING], proofs=proofs) is Verdict.SITE_FAILING


def test_a_slow_route_without_errors_means_a_slow_site(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.7), changes=[SLOW]) is Verdict.SITE_SLOW


def test_a_route_that_fails_slowly_is_failing(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.3), changes=[FAILING, SLOW]) is Verdict.SITE_FAILING


def test_lost_hits_mean_a_failing_redirect(window: Any) -> None:
    assert verdict_of(window(lost=lambda c: 0.9)) is Verdict.REDIRECT_FAILING


def test_lost_hits_under_parallel_tracking_alone_are_a_tracking_matter(window: Any) -> None:
    broken = window(lost=lambda c: 0.9 if c.campaign.startswith("google") else 0.0)
    assert verdict_of(broken, inside=lambda c: c.campaign.startswith("google")) is Verdict.TRACKING_BROKEN


def test_orders_that_lost_their_click_mean_broken_tracking(window: Any) -> None:
    assert verdict_of(window(untracked=lambda c: True)) is Verdict.TRACKING_BROKEN


def test_orders_that_are_gone_do_not(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.1)) is not Verdict.TRACKING_BROKEN


def test_many_hits_and_as_many_orders_mean_other_traffic(window: Any) -> None:
    flooded = window(growth=lambda c: 10.0 if c.campaign == "google:1:2" else 1.0)
    assert verdict_of(flooded, inside=lambda c: c.campaign == "google:1:2") is Verdict.TRAFFIC_CHANGED


def test_a_flood_that_ended_and_sat_where_visitors_buy_most_was_other_traffic_all_the_same(window: Any) -> None:
    def growth(cell: Any) -> float:
        inside = {"meta:2:1": 150.0, "meta:2:2": 8.0}
        return inside.get(cell.campaign, 6.0 if cell.campaign == "google:1:2" and cell.device == "mobile" else 1.0)

    flooded = window(growth=growth, growth_ends=66, buckets=110)
    assert verdict_of(flooded, inside=lambda c: c.campaign.startswith("meta")) is Verdict.TRAFFIC_CHANGED


def test_no_conversion_at_all_while_everything_answers_means_late_data(window: Any) -> None:
    silent = window(keeps=lambda c: 0.0, per_bucket=40)
    unmatched = silent.unmatched.copy()
    unmatched[60:] = 0
    assert verdict_of(silent._replace(unmatched=unmatched)) is Verdict.PLATFORM_DATA_LATE


def test_a_drop_that_nothing_explains_stays_unknown(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.6)) is Verdict.UNKNOWN
    assert verdict_of(window(keeps=lambda c: 0.6), seen=False) is Verdict.UNKNOWN


def test_every_piece_carries_its_numbers(window: Any) -> None:
    mask = np.ones(8, dtype=bool)
    for piece in gather(Situation(window(untracked=lambda c: True), mask, 60, [FAILING], {}, True)):
        assert any(character.isdigit() for character in piece.text) or piece.log_likelihood <= 0
