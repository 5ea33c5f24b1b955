from typing import Any

import msgspec
import numpy as np
import pytest

from correlator.explanation.cost import cost_of, keep_rates

ALL = np.ones(8, dtype=bool)


def test_exposed_is_all_spend_and_wasted_its_lost_share(window: Any) -> None:
    w = window(per_bucket=10)
    cost = cost_of(w, ALL, first=60, lost=(0.2, 0.5, 0.8), missing=12)
    spent = w.hits[:, 60:].sum() * 500_000
    assert cost.exposed_micros == pytest.approx(spent)
    assert cost.wasted_micros == pytest.approx(spent / 2)
    assert cost.exposed_per_hour_micros == pytest.approx(8 * 10 * 360 * 500_000, rel=0.1)
    assert cost.wasted_per_hour_low_micros < cost.wasted_per_hour_micros < cost.wasted_per_hour_high_micros
    assert cost.lost_margin_micros == 12 * 20_000_000


def test_a_pause_does_not_make_the_fault_look_cheap(window: Any) -> None:
    w = window(per_bucket=10)
    hits = w.hits.copy()
    hits[:, 66:] = 0
    cost = cost_of(w._replace(hits=hits), ALL, first=60, lost=(0.5, 0.5, 0.5), missing=0)
    assert cost.exposed_per_hour_micros == pytest.approx(8 * 10 * 360 * 500_000, rel=0.1)


def test_currencies_are_never_added_up(window: Any) -> None:
    w = window(per_bucket=10)
    facts = {n: f._replace(currency="EUR" if n == "meta:2:2" else "USD") for n, f in w.campaigns.items()}
    cost = cost_of(w._replace(campaigns=facts), ALL, first=60, lost=(0, 0, 0), missing=0)
    others = np.asarray([c.campaign != "meta:2:2" for c in w.cells])
    assert cost.currency == "USD"
    assert cost.exposed_micros == pytest.approx(w.hits[others][:, 60:].sum() * 500_000)


def test_what_is_not_known_is_not_invented(window: Any) -> None:
    w = window()
    cost = cost_of(w._replace(campaigns={}), ALL, first=60, lost=(0, 1, 1), missing=5)
    assert (cost.exposed_micros, cost.wasted_per_hour_micros, cost.lost_margin_micros) == (0, 0, None)


def test_the_worked_example_of_two_hours_and_a_quarter() -> None:
    # examples.md 1: $355.56 an hour, 23 % lost, acted on after 2 h 15 min: $800 exposed, $184 wasted.
    exposed = 355.56 * 2.25
    assert exposed == pytest.approx(800, abs=0.1)
    assert exposed * 0.23 == pytest.approx(184, abs=0.1)


def test_what_was_at_stake_stays_the_figure_to_tell_after_a_long_pause(window: Any) -> None:
    w = window(per_bucket=10)
    told = cost_of(w, ALL, first=60, lost=(0.4, 0.5, 0.6), missing=0)
    hits = w.hits.copy()
    hits[:, 55:] = 0
    later = cost_of(w._replace(hits=hits), ALL, first=60, lost=(0.4, 0.5, 0.6), missing=0)
    kept = keep_rates(later, told)
    assert kept.exposed_per_hour_micros == told.exposed_per_hour_micros
    assert kept.wasted_per_hour_micros == pytest.approx(kept.exposed_per_hour_micros / 2, rel=0.01)
    assert kept.exposed_micros == later.exposed_micros


def test_what_was_told_in_another_currency_is_not_compared(window: Any) -> None:
    w = window(per_bucket=10)
    now = cost_of(w, ALL, first=60, lost=(0.4, 0.5, 0.6), missing=0)
    told = msgspec.structs.replace(now, currency="JPY", exposed_per_hour_micros=now.exposed_per_hour_micros * 150)
    assert keep_rates(now, told) == now


def test_a_margin_in_another_currency_than_the_spend_is_unknown(window: Any) -> None:
    w = window()
    whole = cost_of(w, ALL, first=60, lost=(0, 1, 1), missing=5)
    assert whole.lost_margin_micros is not None
    names = sorted(w.campaigns)
    foreign = {**w.campaigns, names[-1]: w.campaigns[names[-1]]._replace(currency="JPY")}
    assert cost_of(w._replace(campaigns=foreign), ALL, first=60, lost=(0, 1, 1), missing=5).lost_margin_micros is None
