"""The simulated world: drawn from a seed, within the bounds that the story promises."""

from __future__ import annotations

import random
import statistics

import pytest

from app.demo import world as w
from app.demo.user_agents import BROWSERS, FLOOD_USER_AGENTS, device_of
from core.identity import is_qualified
from core.user_agents import describe

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_world_has_twelve_campaigns_on_three_platforms_and_rates_of_four_to_twelve_percent(seed: int) -> None:
    world = w.draw_world(seed)
    assert len(world.campaigns) == 12
    assert {c.platform for c in world.campaigns} == {"google", "meta", "microsoft"}
    assert all(is_qualified(c.campaign) for c in world.campaigns)
    assert len({link.slug for link in world.links}) == len(world.links)
    assert sum(link.share for link in world.links) == pytest.approx(1)
    rates = [world.rate(link, device) for link in world.links for device in w.DEVICES]
    assert min(rates) >= 0.04
    assert max(rates) <= 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_are_drawn_where_every_platform_has_a_campaign_to_lose(seed: int) -> None:
    world = w.draw_world(seed)
    segments = world.visible_segments()
    assert len(segments) >= 2
    for page, device in segments:
        assert {c.platform for c in world.aimed(page, device)} == {"google", "meta", "microsoft"}


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    assert w.draw_world(7) == w.draw_world(7)
    assert w.draw_world(7) != w.draw_world(8)


def test_a_slow_page_stays_above_break_even_and_a_broken_form_falls_below() -> None:
    for seed in SEEDS:
        for campaign in w.draw_world(seed).campaigns:
            assert campaign.break_even == pytest.approx(campaign.cpc_micros / campaign.margin_micros, rel=1e-3)
            assert 0.53 < campaign.break_even / campaign.base_rate < 0.61


def test_orders_come_after_twenty_seconds_at_the_median_and_within_two_minutes_for_95_percent() -> None:
    rng = random.Random(1)
    delays = sorted(w.delay_s(rng) for _ in range(20_000))
    assert statistics.median(delays) == pytest.approx(20, rel=0.05)
    assert sum(delay <= 120 for delay in delays) / len(delays) == pytest.approx(0.955, abs=0.006)
    assert delays[-1] <= w.DELAY_MAX_S


def test_seasons_wander_around_one() -> None:
    hours = [h / 4 for h in range(168 * 4)]
    assert statistics.mean(map(w.volume_season, hours)) == pytest.approx(1, abs=0.05)
    assert statistics.mean(map(w.rate_season, hours)) == pytest.approx(1, abs=0.05)
    assert max(map(w.rate_season, hours)) / min(map(w.rate_season, hours)) > 1.2


def test_the_product_sees_the_devices_that_the_visitors_have() -> None:
    for device, browsers in BROWSERS.items():
        assert sum(b.share for b in browsers) == pytest.approx(1)
        for browser in browsers:
            assert describe(browser.user_agent).device == device == device_of(browser.user_agent)


def test_the_flood_is_not_on_any_crawler_list() -> None:
    assert not any(describe(agent).bot for agent in FLOOD_USER_AGENTS)
