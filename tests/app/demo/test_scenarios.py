"""The six plans: drawn from a seed, and what an onlooker who knows the truth expects."""

from __future__ import annotations

import pytest

from app.demo import world as w
from app.demo.past_facts import PastDeploy, past_deploys, running_version
from app.demo.scenarios import NAMES, Name, Plan, draw_plan

NOW = 1_794_824_700_000
SEEDS = range(8)


def plan_of(scenario: Name, seed: int) -> tuple[w.World, list[PastDeploy], Plan]:
    world = w.draw_world(seed, site="shop.localhost:8090")
    past = past_deploys(seed, start=NOW - 21 * 86_400_000, end=NOW)
    return world, past, draw_plan(scenario, world, past, now=NOW)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", NAMES)
def test_a_plan_follows_from_its_seed(scenario: Name, seed: int) -> None:
    assert plan_of(scenario, seed) == plan_of(scenario, seed)
    plan = plan_of(scenario, seed)[2]
    assert (plan.scenario, plan.seed) == (scenario, seed)
    assert 40 <= plan.onset_after_s <= 70


def test_seeds_differ_in_page_device_size_and_order_of_releases() -> None:
    plans = [plan_of("bad-deploy", seed)[2] for seed in range(40)]
    assert len({plan.page for plan in plans}) == 3
    assert {plan.device for plan in plans} == {"mobile", "desktop"}
    assert min(plan.size for plan in plans) < 0.7
    assert max(plan.size for plan in plans) > 0.9
    assert all(0.6 <= plan.size <= 1 for plan in plans)
    assert {release.after_s > 0 for plan in plans for release in plan.innocent} == {True, False}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", NAMES)
def test_every_release_carries_a_version_that_never_ran_before(scenario: Name, seed: int) -> None:
    _, past, plan = plan_of(scenario, seed)
    releases = [*plan.innocent, *(r for r in (plan.guilty, plan.fix) if r)]
    shipped = {(d.service, d.version) for d in past}
    assert len({(r.service, r.version) for r in releases}) == len(releases)
    assert not shipped & {(r.service, r.version) for r in releases}
    for service in (w.WEB, w.ORDERS):
        assert (service, running_version(past, service, at=NOW)) in shipped


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_deploy_expects_pauses_at_google_and_meta_and_a_word_about_microsoft(seed: int) -> None:
    world, _, plan = plan_of("bad-deploy", seed)
    assert {target.split(":")[0] for target in plan.expected.pause} == {"google", "meta"}
    assert {target.split(":")[0] for target in plan.expected.by_hand} == {"microsoft"}
    assert set(plan.expected.pause) <= set(plan.expected.may_pause)
    assert plan.guilty is not None
    routes = {page.submit_route: world.page_id(page) for page in w.PAGES}
    assert routes[plan.guilty.behaviour.fail_route] == plan.page
    assert plan.guilty.service not in {release.service for release in plan.innocent}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_redirect_expects_pauses_at_meta_only(seed: int) -> None:
    world, _, plan = plan_of("redirect-broken", seed)
    assert {target.split(":")[0] for target in plan.expected.pause} == {"meta"}
    platforms = {link.campaign.platform for link in world.links if link.slug in plan.slugs}
    assert platforms == {"google", "meta", "microsoft"}


@pytest.mark.parametrize("scenario", ["slow-page", "tracking-outage", "bot-flood", "quiet"])
def test_the_others_expect_no_action(scenario: Name) -> None:
    plan = plan_of(scenario, 1)[2]
    assert (plan.expected.pause, plan.expected.may_pause, plan.expected.by_hand) == ([], [], [])


def test_the_flood_makes_ten_hits_of_one() -> None:
    plan = plan_of("bot-flood", 1)[2]
    assert (plan.flood_per_s + w.LIVE_CLICKS_PER_S) / w.LIVE_CLICKS_PER_S == 10
