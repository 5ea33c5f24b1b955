"""Landings, bounces and forms, from what browsers tell to the counts that detection watches: each visit once, and never too early."""

from __future__ import annotations

from typing import Any

from core.records import Touch
from correlator.detection.baseline import empty_model
from correlator.detection.config import DetectionConfig
from correlator.detection.feed import Feed, FeedState
from correlator.detection.history import learn
from correlator.detection.shares import ShareKey, share_name
from tests.correlator.conftest import CAMPAIGN, IPHONE, moment

MINUTE = 60_000
PAGE, OTHER = "shop.example/p", "shop.example/q"


def tell(world: Any, at: int, name: str, *, click_id: str = "", session_id: str = "", page: str = PAGE) -> None:
    touch = Touch(
        ts=at, source="snippet", name=name, click_id=click_id, session_id=session_id, page=page, user_agent=IPHONE
    )
    world.tell(touch)


def counted(world: Any, *, start: str, until: str, every_min: int = 1) -> dict[tuple[str, ...], tuple[float, float]]:
    """What the feed of a fresh start hands on in ticks up to a moment: (bad, all) by key, kinds of browsers only."""
    state = FeedState(hits_through=moment(start), matched_through=moment(start))
    feed = Feed(world.store, state, types=["order"], origin="backend")
    sums: dict[tuple[str, ...], tuple[float, float]] = {}
    for at in range(moment(start) + every_min * MINUTE, moment(until) + 1, every_min * MINUTE):
        for key, hits, trials in feed.read(empty_model(now=at), now=at, through=at).shares:
            if key.kind in ("unlanded", "bounced", "unsubmitted"):
                before = sums.get(tuple(key), (0.0, 0.0))
                sums[tuple(key)] = (before[0] + hits, before[1] + trials)
    return sums


def ten_visits(world: Any, start: str) -> None:
    """Ten clicks: eight land at once, one lands two minutes late, one never; three of those that landed go on, two begin a form, one sends it."""
    for number in range(10):
        at = moment(start) + number * 2000
        click = world.click(at)
        if number < 8:
            tell(world, at + 500, "page_view", click_id=click, session_id=f"{start}-{number}")
            tell(world, at + 500, "page_view", click_id=click, session_id=f"{start}-{number}") if number == 0 else None
        if number == 8:
            tell(world, at + 2 * MINUTE, "page_view", click_id=click)
        if number in (1, 2):
            tell(world, at + 40_000, "form_start", click_id=click, session_id=f"{start}-{number}")
            tell(world, at + 75_000, "form_start", click_id=click, session_id=f"{start}-{number}")
        if number == 1:
            tell(world, at + 70_000, "form_submit", click_id=click, session_id=f"{start}-{number}")


def test_a_visit_counts_once_and_only_when_a_missing_touch_says_something(world: Any) -> None:
    ten_visits(world, "09:00")
    world.settle("09:20")
    early = counted(world, start="08:58", until="09:01", every_min=3)
    assert ("unsubmitted", "", PAGE, "mobile") not in early
    assert ("bounced", CAMPAIGN, "", "") not in early
    for every in (5, 20):
        found = counted(world, start="08:58", until="09:18", every_min=every)
        assert found["unlanded", CAMPAIGN, "", ""] == (2, 10), (
            "the one that came after two minutes is too late, now and ever"
        )
        assert found["unlanded", "", PAGE, "mobile"] == (2, 10)
        assert found["bounced", CAMPAIGN, "", ""] == (6, 9), "a second page view goes on, and so does a form"
        assert found["unsubmitted", "", PAGE, "mobile"] == (1, 2)


def test_a_robot_and_a_lost_click_land_nowhere_and_are_not_missed(world: Any) -> None:
    world.click("09:00", user_agent="curl/8.4.0", bot_signals=["no_cookies"])
    world.click("09:00", http_status=503)
    landed = world.click("09:00")
    tell(world, moment("09:00") + 500, "page_view", click_id=landed)
    world.settle("09:20")
    assert counted(world, start="08:58", until="09:18", every_min=20)["unlanded", CAMPAIGN, "", ""] == (0, 1)


def test_history_counts_by_the_rule_of_the_feed(world: Any) -> None:
    ten_visits(world, "09:00")
    ten_visits(world, "09:12")
    world.settle("23:00")
    now = moment("23:00")
    model = learn(world.store, now=now, config=DetectionConfig(), types=["order"], origin="backend")
    fed = counted(world, start="08:58", until="09:30", every_min=16)
    for key, (hits, trials) in fed.items():
        assert model.shares[share_name(ShareKey(*key))] == ((hits + 0.5) / (trials + 1), trials), key
    assert {key[0] for key in fed} == {"unlanded", "bounced", "unsubmitted"}
    broken = learn(
        world.store,
        now=now,
        config=DetectionConfig(),
        types=["order"],
        origin="backend",
        excluded=[(moment("09:12"), moment("09:30"))],
    )
    assert broken.shares[share_name(ShareKey("unlanded", CAMPAIGN))][1] == 10, "what an incident broke is not usual"
