from typing import Any

import numpy as np

from core.incidents import Verdict
from correlator.explanation.evidence import gather
from correlator.explanation.service_health import Change, Proof
from correlator.explanation.situation import Situation
from correlator.explanation.timing import find_onset
from correlator.explanation.verdict import conclude
from correlator.explanation.window import levels

FAILING = Change("errors", "orders", "POST /order", "mobile", 0.01, 0.8, 200, 60.0)
SLOW = Change("slow", "web", "GET /x", "mobile", 0.01, 0.9, 200, 80.0, 1.0)


def situation(window: Any, mask: Any, changes: Any, proofs: Any, seen: bool) -> Situation:
    onset = find_onset(window, mask, before=window.end, not_before=window.start)
    return Situation(window, mask, 60, changes, proofs, seen, levels(window, 60)[0], onset)


def verdict_of(window: Any, *, changes: Any = (), proofs: Any = None, inside: Any = None, seen: bool = True) -> Verdict:
    mask = np.ones(len(window.cells), dtype=bool) if inside is None else np.asarray([inside(c) for c in window.cells])
    return next(iter(conclude(gather(situation(window, mask, changes, proofs or {}, seen)))))


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


def test_fewer_orders_everywhere_while_everything_answers_mean_less_demand(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.3, kind="cohort", per_bucket=60)) is Verdict.DEMAND_CHANGED


def test_one_campaign_that_sells_less_beside_others_on_its_page_has_other_visitors(window: Any) -> None:
    kept = window(keeps=lambda c: 0.3 if c.campaign == "meta:2:1" else 1.0, kind="cohort", per_bucket=60)
    assert verdict_of(kept, inside=lambda c: c.campaign == "meta:2:1") is Verdict.TRAFFIC_CHANGED


def test_clicks_that_move_to_where_fewer_buy_are_a_mix_shift_not_a_drop(window: Any) -> None:
    moved = window(growth=lambda c: 1.0, per_bucket=60)
    times = np.where(np.asarray([c.page == "a.test/y" for c in moved.cells])[:, None], 3.0, 0.2)
    after = np.arange(moved.clicks.shape[1]) >= 60
    weight = np.where(after[None, :], times, 1.0)
    shifted = {name: getattr(moved, name) * weight for name in ("clicks", "hits", "expected", "expected_by_click")}
    sold = np.random.default_rng(1).poisson(shifted["expected"]).astype(float)
    shifted |= {"observed": sold, "observed_by_click": sold, "traced": moved.traced * weight}
    pieces = gather(situation(moved._replace(**shifted), np.ones(8, dtype=bool), (), {}, True))
    assert next(iter(conclude(pieces))) is Verdict.TRAFFIC_CHANGED
    assert any(piece.name == "mix_shift" for piece in pieces)


def test_more_hits_that_the_filter_names_robots_mean_other_traffic(window: Any) -> None:
    clean = window(per_bucket=60)
    hits = clean.hits.copy()
    hits[0, 60:] *= 1.4
    assert verdict_of(clean._replace(hits=hits), inside=lambda c: c == clean.cells[0]) is Verdict.TRAFFIC_CHANGED


def test_a_drop_that_nothing_explains_stays_unknown(window: Any) -> None:
    assert verdict_of(window(keeps=lambda c: 0.6), seen=False) is Verdict.UNKNOWN


def test_every_piece_carries_its_numbers(window: Any) -> None:
    mask = np.ones(8, dtype=bool)
    for piece in gather(situation(window(untracked=lambda c: True), mask, [FAILING], {}, True)):
        assert any(character.isdigit() for character in piece.text) or piece.log_likelihood <= 0
