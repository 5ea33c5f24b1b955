import numpy as np
import pytest

from correlator.detection.spread import spread_of

DAYS, CAMPAIGNS = 28, 12


def cells(
    *, campaign_sd: float = 0.0, shared_sd: float = 0.0, dispersion: float = 1.0, special: float = 1.0, seed: int = 1
):
    random = np.random.default_rng(seed)
    campaign = np.repeat(np.arange(CAMPAIGNS), DAYS * 24)
    hour = np.tile(480_000 + np.arange(DAYS * 24), CAMPAIGNS)
    day = hour // 24 - hour.min() // 24
    due = np.exp(random.uniform(np.log(1), np.log(400), CAMPAIGNS))[campaign]
    level = np.exp(random.normal(0, campaign_sd, (CAMPAIGNS, DAYS)))[campaign, day]
    level = level * np.exp(random.normal(0, shared_sd, DAYS))[day] * np.where(day == 9, special, 1.0)
    rate = due * level
    if dispersion > 1:
        rate = random.gamma(rate / (dispersion - 1), dispersion - 1)
    return campaign, hour, due, random.poisson(rate).astype(float)


def test_a_calm_world_strays_as_poisson_does() -> None:
    found = spread_of(*cells())
    assert found.dispersion == pytest.approx(1.0, abs=0.05)
    assert found.campaign < 0.02
    assert found.shared < 0.02


def test_effects_of_a_campaigns_day_are_no_overdispersion_and_not_everybodys() -> None:
    found = spread_of(*cells(campaign_sd=0.1))
    assert found.campaign == pytest.approx(0.1, rel=0.2)
    assert found.dispersion < 1.15
    assert found.shared < 0.07


def test_effects_of_a_day_that_all_campaigns_share_are_found_as_such() -> None:
    assert spread_of(*cells(shared_sd=0.1)).shared == pytest.approx(0.1, rel=0.4)


def test_overdispersion_within_a_day_is_no_effect_of_the_day() -> None:
    found = spread_of(*cells(dispersion=2.0))
    assert found.dispersion == pytest.approx(2.0, rel=0.1)
    assert found.campaign < 0.03


def test_one_holiday_does_not_make_every_day_uncertain() -> None:
    found = spread_of(*cells(special=0.6))
    assert found.campaign < 0.03
    assert found.shared < 0.03


def test_too_short_a_past_assumes_some_effect_of_the_day() -> None:
    campaign, hour, due, seen = cells()
    few = hour < hour.min() + 5 * 24
    few &= campaign == 0
    found = spread_of(campaign[few], hour[few], due[few], seen[few])
    assert found.shared > 0
    assert found.campaign > 0
