"""The simulated world: what is drawn by the minute agrees with what is drawn event by event, and each cause shows as it should."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2

from app.evaluate.counts import Drawn, draw
from app.evaluate.events import draw_segment
from app.evaluate.incidents import CAUSES, Cause, Incident, inside
from app.evaluate.rates import DAY_MIN, Habits, Rates, draw_rates
from app.evaluate.segments import draw_fleet

Array = npt.NDArray[np.float64]

CALM = Habits(day_sd=0.1, dispersion=1.5, click_dispersion=1.0, profile=0.2)
HOURS = np.arange(0, 4 * 24 + 1) * 60.0
AGES = np.asarray([0, 1, 3, 10, 30, 60, 120, 360, DAY_MIN, 5_000.0])


def rates(seed: int = 5, *, campaigns: int = 20, days: int = 2, habits: Habits = CALM) -> Rates:
    return draw_rates(draw_fleet(seed, campaigns=campaigns), habits, days=days)


def cause(name: str) -> Cause:
    return next(c for c in CAUSES if c.name == name)


def fault(laws: Rates, name: str, *, size: float, scope: dict[str, str] | None = None) -> Incident:
    chosen = scope or {}
    return Incident(cause(name), size, 300.0, 900.0, 0.0, chosen, inside(laws.fleet, chosen))


def drawn(laws: Rates, *incidents: Incident, seed: int = 3) -> Drawn:
    return draw(laws, start=0, end=DAY_MIN, random=np.random.default_rng(seed), incidents=incidents)


def by_hour_and_age(happened: Array, clicked: Array) -> Array:
    return np.histogram2d(happened, happened - clicked, [HOURS, AGES])[0]


def assert_same_law(one: Array, other: Array) -> None:
    """Two tables of Poisson counts: the sum of (a - b)^2 / (a + b) is chi-square with as many degrees as cells."""
    both = one + other
    enough = both >= 20
    statistic = float(((one - other)[enough] ** 2 / both[enough]).sum())
    assert chi2.sf(statistic, int(enough.sum())) > 1e-4, f"{statistic:.0f} over {enough.sum()} cells"


def compare(laws: Rates, *, minimum_events: int) -> None:
    broken = (fault(laws, "page latency", size=0.5), fault(laws, "bad deploy", size=0.3, scope={"device": "mobile"}))
    counted = drawn(laws, *broken)
    told = counted.conversions
    come = ~told.failed & told.tracked
    events = [
        draw_segment(laws, s, start=0, end=DAY_MIN, random=np.random.default_rng([9, s]), incidents=broken)
        for s in range(len(laws.fleet.segments))
    ]
    assert sum(len(e.clicks) for e in events) >= minimum_events
    hours = np.arange(0, DAY_MIN + 1, 60)
    clicks = np.stack([np.histogram(e.clicks, hours)[0] for e in events])
    assert_same_law(counted.clicks.reshape(len(events), 24, 60).sum(2), clicks.astype(np.float64))
    mobile = np.asarray([s.device == "mobile" for s in laws.fleet.segments])
    for chosen in (mobile, ~mobile):
        own = come & chosen[told.segment]
        one_by_one = [e for e, wanted in zip(events, chosen, strict=True) if wanted]
        assert_same_law(
            by_hour_and_age(told.happens[own], told.clicked[own]),
            by_hour_and_age(
                np.concatenate([e.happened for e in one_by_one]), np.concatenate([e.clicked for e in one_by_one])
            ),
        )


def without_lost_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events know nothing of the one hit in a thousand that a redirect usually loses."""
    monkeypatch.setattr("app.evaluate.counts.USUALLY_LOST", 0.0)


def test_counts_by_the_minute_agree_with_single_events(monkeypatch: pytest.MonkeyPatch) -> None:
    without_lost_hits(monkeypatch)
    compare(rates(campaigns=4), minimum_events=200_000)


@pytest.mark.long
def test_counts_by_the_minute_agree_with_ten_million_events(monkeypatch: pytest.MonkeyPatch) -> None:
    without_lost_hits(monkeypatch)
    compare(rates(campaigns=60), minimum_events=10_000_000)


def test_a_seed_is_a_world_and_another_seed_another() -> None:
    one, same, other = (drawn(rates(seed, campaigns=3)).clicks for seed in (5, 5, 6))
    assert (one == same).all()
    assert one.shape != other.shape or (one != other).any()


def test_every_cause_shows_where_it_should_and_nowhere_else() -> None:
    laws = rates(campaigns=6)
    google = next(c.name for c in laws.fleet.campaigns if c.parallel)
    usual = drawn(laws)
    come = lambda d: int((~d.conversions.failed & d.conversions.tracked).sum())  # noqa: E731 - one reading for all
    lagging = drawn(laws, fault(laws, "feed lag", size=1.0))
    happened = lagging.conversions.happens
    during = (happened >= 300) & (happened < 900)
    assert (lagging.conversions.known[during] == 900).all()
    assert (lagging.conversions.known[~during] == happened[~during]).all()
    outage = drawn(laws, fault(laws, "tracking outage", size=1.0))
    assert not outage.conversions.failed.any()
    assert come(outage) < come(usual)
    bots = drawn(laws, fault(laws, "bot traffic", size=1.0))
    assert bots.clicks.sum() > 1.3 * usual.clicks.sum()
    assert come(bots) == pytest.approx(come(usual), rel=0.05)
    lost = drawn(laws, fault(laws, "redirect failure", size=1.0, scope={"campaign": google}))
    own = inside(laws.fleet, {"campaign": google})
    assert lost.clicks[own, 300:900].sum() == 0
    assert (~lost.conversions.tracked).any(), "under parallel tracking the buyer still arrives"
    moved = drawn(laws, fault(laws, "mix shift", size=1.0))
    share_of = [d.clicks[:, 300:900].sum(1) / d.clicks[:, 300:900].sum() for d in (usual, moved)]
    assert np.abs(share_of[0] - share_of[1]).max() > 0.05
    quiet = drawn(laws, fault(laws, "innocent deploy", size=1.0))
    assert (quiet.clicks == usual.clicks).all()
    assert come(quiet) == come(usual)


def test_conversions_vary_as_much_as_the_world_says() -> None:
    def spread(dispersion: float) -> float:
        laws = rates(7, campaigns=1, days=2, habits=Habits(0.0, dispersion, 1.0, 0.1, holidays=False))
        laws = laws._replace(
            fleet=laws.fleet._replace(
                campaigns=[laws.fleet.campaigns[0]._replace(amplitude=0.2, exhausted_hour=24, clicks_per_minute=400.0)]
            )
        )
        minutes = np.arange(0, 2 * DAY_MIN)
        due = (laws.clicks(minutes) * laws.fleet.rates[:, None]).sum(0).reshape(-1, 10).sum(1)
        effect = laws.converting(minutes)[0].reshape(-1, 10)[:, 0] / (
            laws.fleet.rates[0]
            * laws.weekly[((minutes[::10] + laws.fleet.start) // 60 + 72) % 168]
            * laws.daily[0, 28 + minutes[::10] // DAY_MIN]
        )
        return float(1 + np.var(effect) * due.mean())

    assert spread(1.0) == pytest.approx(1.0)
    assert spread(2.0) == pytest.approx(2.0, rel=0.25)
