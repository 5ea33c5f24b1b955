"""The six stories: what happens in the world, drawn from the seed, and what an onlooker who knows the truth expects of the product.

Pure. A `Plan` is the truth of one run: the director makes it happen, the checker compares it with what the product said. Nothing of it
reaches the product.
"""

from __future__ import annotations

import random
from typing import Literal

import msgspec

from app.demo import world as w
from app.demo.past_facts import PastDeploy, next_version, running_version
from app.demo.shop import Behaviour
from app.demo.user_agents import DeviceName

Name = Literal["bad-deploy", "slow-page", "redirect-broken", "tracking-outage", "bot-flood", "quiet"]
NAMES: tuple[Name, ...] = ("bad-deploy", "slow-page", "redirect-broken", "tracking-outage", "bot-flood", "quiet")

SLOWER_S = 6.0
FLOOD_TIMES = 10
#: The team that looks after the short links posts its configuration changes under this name.
LINKS_SERVICE = "trailhead-links"
#: The innocent change comes this long before or after the onset.
INNOCENT_S = (15.0, 35.0)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is shipped `after_s` from the onset; `change` is how its marker calls it."""

    service: str
    version: str
    after_s: float
    behaviour: Behaviour = Behaviour()
    change: str = "deploy"
    author: str = ""


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the product should conclude. Empty = does not matter, or none."""

    verdict: str = ""
    scope: dict[str, str] = {}
    deploy_service: str = ""
    deploy_version: str = ""
    #: Campaigns that must be asked for, those that may be, and those that must be told to be paused by hand.
    pause: list[str] = []
    may_pause: list[str] = []
    by_hand: list[str] = []
    within_s: float = 0.0
    failed_traces: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    scenario: Name
    seed: int
    #: Seconds of healthy traffic between the first visitor and the onset.
    onset_after_s: float
    page: str = ""
    device: str = ""
    size: float = 0.0
    slugs: list[str] = []
    flood_per_s: float = 0.0
    #: The guilty release (None = nothing was shipped) and its mending; the innocent ones around it.
    guilty: Release | None = None
    fix: Release | None = None
    innocent: list[Release] = []
    expected: Expectation = Expectation()


def draw_plan(scenario: Name, world: w.World, past: list[PastDeploy], *, now: int) -> Plan:
    """The story of a seed. `past` are the releases before today, which decide today's version numbers."""
    rng = random.Random(f"plan {scenario} {world.seed}")
    onset_after_s = rng.uniform(40.0, 70.0)
    releases = Releases(rng, past, now=now)
    plan = _DRAW[scenario](rng, world, releases)
    return msgspec.structs.replace(plan, seed=world.seed, onset_after_s=onset_after_s)


class Releases:
    """Hands out version numbers and the innocent release around the onset."""

    def __init__(self, rng: random.Random, past: list[PastDeploy], *, now: int) -> None:
        self._rng = rng
        self._past = past
        self._now = now
        self._steps: dict[str, int] = {}

    def running(self, service: str) -> str:
        return running_version(self._past, service, at=self._now)

    def next(self, service: str) -> str:
        self._steps[service] = self._steps.get(service, 0) + 1
        return next_version(self._past, service, step=self._steps[service])

    def innocent(self, *services: str) -> Release:
        """Something harmless, before or after the onset."""
        service = self._rng.choice(services)
        gap = self._rng.uniform(*INNOCENT_S)
        before = self._rng.random() < 0.5
        change = "cdn" if service == w.MEDIA else "deploy"
        return Release(
            service=service, version=self.next(service), after_s=-gap if before else gap, change=change, author="adaeze"
        )


def _bad_deploy(rng: random.Random, world: w.World, releases: Releases) -> Plan:
    page, device = rng.choice(world.visible_segments())
    size = rng.uniform(0.6, 1.0)
    broken = Behaviour(fail_route=page.submit_route, fail_device=device, fail_share=size)
    guilty = Release(service=w.ORDERS, version=releases.next(w.ORDERS), after_s=0.0, behaviour=broken, author="jonas")
    return Plan(
        scenario="bad-deploy", seed=0, onset_after_s=0.0, page=world.page_id(page), device=device, size=size, guilty=guilty,
        fix=Release(service=w.ORDERS, version=releases.next(w.ORDERS), after_s=0.0, author="jonas"),
        innocent=[releases.innocent(w.WEB, w.MEDIA)],
        expected=_failing(world, page, device, guilty),
    )  # fmt: skip


def _failing(world: w.World, page: w.Page, device: DeviceName, guilty: Release) -> Expectation:
    aimed = world.aimed(page, device)
    reached = {link.campaign.campaign: link.campaign for link in world.links if link.page == page}
    return Expectation(
        verdict="site_failing",
        scope={"device": device, "page": world.page_id(page)},
        deploy_service=guilty.service,
        deploy_version=guilty.version,
        pause=sorted(c.campaign for c in aimed if c.platform != "microsoft"),
        may_pause=sorted(c.campaign for c in reached.values() if c.platform != "microsoft"),
        by_hand=sorted(c.campaign for c in aimed if c.platform == "microsoft"),
        within_s=120.0,
        failed_traces=3,
    )


def _slow_page(rng: random.Random, world: w.World, releases: Releases) -> Plan:
    page = rng.choice([page for page in w.PAGES if not page.side])
    slow = Behaviour(slow_route=page.route, slow_seconds=SLOWER_S)
    guilty = Release(service=w.WEB, version=releases.next(w.WEB), after_s=0.0, behaviour=slow, author="mira")
    return Plan(
        scenario="slow-page", seed=0, onset_after_s=0.0, page=world.page_id(page), guilty=guilty,
        fix=Release(service=w.WEB, version=releases.next(w.WEB), after_s=0.0, author="mira"),
        innocent=[releases.innocent(w.ORDERS, w.MEDIA)],
        expected=Expectation(verdict="site_slow", scope={"page": world.page_id(page)}, deploy_service=guilty.service,
                             deploy_version=guilty.version, within_s=300.0),
    )  # fmt: skip


def _redirect_broken(rng: random.Random, world: w.World, releases: Releases) -> Plan:
    chosen = [c for platform, n in (("google", 2), ("meta", 2), ("microsoft", 1))
              for c in rng.sample([c for c in world.campaigns if c.platform == platform], n)]  # fmt: skip
    slugs = [link.slug for link in world.links if link.campaign in chosen]
    number = rng.randrange(200, 900)
    guilty = Release(service=LINKS_SERVICE, version=f"change-{number}", after_s=0.0, change="config", author="tomasz")
    lost = sorted(c.campaign for c in chosen if c.platform == "meta")
    return Plan(
        scenario="redirect-broken", seed=0, onset_after_s=0.0, slugs=slugs, guilty=guilty,
        fix=Release(service=LINKS_SERVICE, version=f"change-{number + 1}", after_s=0.0, change="config", author="tomasz"),
        innocent=[releases.innocent(w.WEB, w.ORDERS, w.MEDIA)],
        expected=Expectation(verdict="redirect_failing", deploy_service=guilty.service, deploy_version=guilty.version,
                             pause=lost, may_pause=lost, within_s=180.0,
                             by_hand=sorted(c.campaign for c in chosen if c.platform == "microsoft")),
    )  # fmt: skip


def _tracking_outage(_rng: random.Random, _world: w.World, releases: Releases) -> Plan:
    guilty = Release(service=w.WEB, version=releases.next(w.WEB), after_s=0.0, behaviour=Behaviour(tag_missing=True),
                     change="tag", author="mira")  # fmt: skip
    return Plan(
        scenario="tracking-outage", seed=0, onset_after_s=0.0, guilty=guilty,
        fix=Release(service=w.WEB, version=releases.next(w.WEB), after_s=0.0, change="tag", author="mira"),
        innocent=[releases.innocent(w.ORDERS, w.MEDIA)],
        expected=Expectation(verdict="tracking_broken", deploy_service=guilty.service, deploy_version=guilty.version,
                             within_s=180.0),
    )  # fmt: skip


def _bot_flood(rng: random.Random, world: w.World, releases: Releases) -> Plan:
    slugs = rng.sample([link.slug for link in world.links if link.main], 5)
    return Plan(
        scenario="bot-flood", seed=0, onset_after_s=0.0, slugs=slugs,
        flood_per_s=(FLOOD_TIMES - 1) * w.LIVE_CLICKS_PER_S, innocent=[releases.innocent(w.WEB, w.ORDERS, w.MEDIA)],
        expected=Expectation(verdict="traffic_changed", within_s=180.0),
    )  # fmt: skip


def _quiet(_rng: random.Random, _world: w.World, releases: Releases) -> Plan:
    release = releases.innocent(w.WEB, w.ORDERS)
    return Plan(scenario="quiet", seed=0, onset_after_s=0.0, innocent=[msgspec.structs.replace(release, after_s=0.0)])


_DRAW = {
    "bad-deploy": _bad_deploy,
    "slow-page": _slow_page,
    "redirect-broken": _redirect_broken,
    "tracking-outage": _tracking_outage,
    "bot-flood": _bot_flood,
    "quiet": _quiet,
}
