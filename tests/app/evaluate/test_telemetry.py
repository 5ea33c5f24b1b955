"""What the simulated services and browsers report: usual when all is well, and the signs of theory.md 4.1 when it is not."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluate.counts import draw
from app.evaluate.incidents import CAUSES, Incident, inside
from app.evaluate.rates import Rates, draw_habits, draw_rates
from app.evaluate.segments import draw_fleet
from app.evaluate.telemetry import USUAL, Share, past_of, shares_of


@pytest.fixture(scope="module")
def rates() -> Rates:
    return draw_rates(draw_fleet(7, campaigns=6), draw_habits(7), days=2)


def told(rates: Rates, cause: str = "", *, size: float = 0.8) -> list[Share]:
    """Six hours from noon, with one cause everywhere."""
    found = [c for c in CAUSES if c.name == cause]
    everywhere = inside(rates.fleet, {})
    incidents = [Incident(c, size, 700.0, 2000.0, 0.0, {}, everywhere) for c in found]
    drawn = draw(rates, start=720, end=1080, random=np.random.default_rng(1), incidents=incidents)
    return shares_of(rates, drawn, incidents, random=np.random.default_rng(2))


def level(shares: list[Share], kind: str, route: str = "") -> float:
    own = [s for s in shares if s.kind == kind and s.route.startswith(route)]
    return float(sum(s.hits.sum() for s in own) / sum(s.trials.sum() for s in own))


def test_all_well_every_share_is_near_its_usual_value_and_so_is_the_past_that_is_learned(rates: Rates) -> None:
    shares = told(rates)
    past = past_of(rates, shares, random=np.random.default_rng(3))
    for kind, usual in USUAL.items():
        assert level(shares, kind) == pytest.approx(usual, rel=0.8, abs=0.02)
        assert level(past, kind) == pytest.approx(usual, rel=0.25, abs=0.02)
    assert all((s.hits <= s.trials).all() and (s.hits >= 0).all() for s in shares)


@pytest.mark.parametrize(
    ("cause", "kind", "route"),
    [
        ("bad deploy", "errors", "POST"),
        ("form errors in one browser", "unsubmitted", ""),
        ("page latency", "slow", "GET"),
        ("page latency", "bounced", ""),
        ("redirect failure", "lost", ""),
        ("tracking outage", "unlanded", ""),
    ],
)
def test_a_cause_shows_in_the_share_that_the_theory_names(rates: Rates, cause: str, kind: str, route: str) -> None:
    assert level(told(rates, cause), kind, route) > level(told(rates), kind, route) + 0.08


def test_who_breaks_nothing_moves_no_share(rates: Rates) -> None:
    quiet, innocent = told(rates), told(rates, "innocent deploy")
    for kind in USUAL:
        assert level(innocent, kind) == pytest.approx(level(quiet, kind), rel=0.1)
