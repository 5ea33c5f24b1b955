"""Routing end to end: a real worker, its answers and its journal lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from redirect.counters import OUTCOME_SLOT

from .live_worker import ThreadWorker, link
from .routes import FALLBACK, FUTURE, PAST, VISITOR, rule, variants, write_countries
from .test_visitor import CHROME, IPHONE

Start = Callable[..., ThreadWorker]
FRESH = {"Sec_Fetch_Mode": "navigate"}


def test_a_hit_is_routed_by_device_language_country_and_query(start_worker: Start, tmp_path: Path) -> None:
    database = tmp_path / "countries.mmdb"
    write_countries(database, {"127.0.0.0/8": "AT"})
    rules = (
        rule("ios", os=("ios",), destination="https://shop.example/ios?a=own#top"),
        rule("german", language=("de",), country=("AT",), destination="https://shop.example/de"),
        rule("vip", query={"vip": "1"}, destination="https://shop.example/vip"),
    )
    worker = start_worker(link(rules=rules), country_database=str(database))
    windows = (CHROME % (b"Windows NT 10.0", b"")).decode()
    ios = worker.get("/spring?a=1&b=2", User_Agent=IPHONE.decode())
    german = worker.get("/spring", User_Agent=windows, Accept_Language="de-AT,de;q=0.9,en;q=0.8")
    vip = worker.get("/spring?vip=1", User_Agent=windows, Accept_Language="en")
    own = worker.get("/spring", User_Agent=windows, Accept_Language="en")
    assert ios.location.startswith("https://shop.example/ios?a=own&b=2&ct_click=")
    assert ios.location.endswith("#top")
    assert german.location.startswith("https://shop.example/de?ct_click=")
    assert vip.location.startswith("https://shop.example/vip?vip=1&ct_click=")
    assert own.location.startswith("https://shop.example/p?ct_click=")
    assert [(line["page"], line["routing"]) for line in worker.lines()] == [
        ("shop.example/ios", ["rule:ios:holds", "rule_destination"]),
        ("shop.example/de", ["rule:ios:os", "rule:german:holds", "rule_destination"]),
        ("shop.example/vip", ["rule:ios:os", "rule:german:language", "rule:vip:holds", "rule_destination"]),
        ("shop.example/p", ["rule:ios:os", "rule:german:language", "rule:vip:query", "destination"]),
    ]


def test_a_visitor_keeps_their_variant_and_the_click_names_it(start_worker: Start) -> None:
    worker = start_worker(link(variants=variants(a=1, b=1)))
    first = worker.get("/spring")
    cookie = first.headers["set-cookie"].partition(";")[0]
    again = [worker.get("/spring", Cookie=cookie) for _ in range(5)]
    places = {reply.location.partition("?")[0] for reply in (first, *again)}
    assert len(places) == 1
    names = {(line["variant"], line["routing"][0]) for line in worker.lines()}
    assert names == {(places.pop()[-1], f"variant:{worker.lines()[0]['variant']}")}
    other = [worker.get("/spring").location for _ in range(40)]
    assert {location.partition("?")[0][-1] for location in other} == {"a", "b"}, "others get theirs"


def test_without_consent_the_click_id_draws_the_variant(start_worker: Start) -> None:
    worker = start_worker(link(variants=variants(a=1, b=1)))
    for _ in range(30):
        reply = worker.get("/spring?ct_consent=no", Cookie=f"ct_vid={VISITOR}")
        assert reply.headers["set-cookie"].startswith("ct_vid=; Max-Age=0")
    assert {line["variant"] for line in worker.lines()} == {"a", "b"}


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [({"starts": FUTURE}, 404, "not_started"), ({"expires": PAST}, 410, "expired")],
)
def test_a_link_out_of_its_time_is_a_lost_click_with_its_word(
    start_worker: Start, fields: dict[str, str], status: int, reason: str
) -> None:
    worker = start_worker(link(**fields))
    assert worker.get("/spring").status == status
    [line] = worker.lines()
    assert (line["http_status"], line["reason"], line["routing"]) == (status, reason, [f"schedule:{reason}", "lost"])


def test_a_link_out_of_its_time_goes_to_its_fallback(start_worker: Start) -> None:
    worker = start_worker(link(expires=PAST, fallback=FALLBACK))
    assert worker.get("/spring?gclid=x").location.startswith(f"{FALLBACK}?gclid=x&ct_click=")
    [line] = worker.lines()
    assert (line["reason"], line["page"], line["routing"]) == (
        "redirected",
        "shop.example/fallback",
        ["schedule:expired", "fallback"],
    )


def test_the_flag_that_a_link_had_its_clicks_ends_it(start_worker: Start) -> None:
    worker = start_worker(link(max_clicks=1))
    world = worker.worker.world
    assert worker.get("/spring").status == 302
    assert worker.get("/spring").status == 410, "the worker knows its own clicks at once"
    world.usage.own.clear()
    world.usage.elsewhere[worker.links.find("spring").link_id] = 1
    assert worker.get("/spring").status == 410, "and those of the others once it has read them"
    assert worker.lines()[-1]["reason"] == "max_clicks_reached"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_every_status_reaches_the_browser_and_none_is_stored(start_worker: Start, status: int) -> None:
    worker = start_worker(link(status=status))
    reply = worker.get("/spring")
    assert (reply.status, reply.headers["cache-control"]) == (status, "no-store")
    assert worker.lines()[0]["http_status"] == status
    head = worker.connect().request("HEAD", "/spring")
    assert (head.status, head.location) == (status, "https://shop.example/p")


@pytest.mark.parametrize(
    "agent",
    [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0 A",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Twitterbot/1.0",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        # What iMessage says.
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 "
        "facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "TelegramBot (like TwitterBot)",
        "SkypeUriPreview Preview/0.5",
    ],
)
def test_a_preview_sees_the_page_and_is_no_click(start_worker: Start, agent: str) -> None:
    worker = start_worker(link(variants=variants(a=1)))
    reply = worker.get("/spring?utm_source=chat&fbclid=x", User_Agent=agent)
    assert (reply.status, reply.location) == (302, "https://shop.example/a?utm_source=chat&fbclid=x")
    assert "set-cookie" not in reply.headers
    assert worker.lines() == []
    assert worker.worker.counters.slots[OUTCOME_SLOT["link_preview"]] == 1


@pytest.mark.parametrize(
    ("agent", "headers"),
    [
        (
            "Mozilla/5.0 (Linux; Android 16; Pixel 10 Build/CP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/146.0.0.0 "
            "Mobile Safari/537.36 MetaIAB Facebook",
            {},
        ),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile WhatsApp/2.2", FRESH),
        (IPHONE.decode(), {}),
        ("curl/8.5.0", {}),
    ],
)
def test_people_in_the_browsers_of_apps_are_clicks(start_worker: Start, agent: str, headers: dict[str, str]) -> None:
    worker = start_worker(link())
    assert "ct_click=" in worker.get("/spring", User_Agent=agent, **headers).location
    assert len(worker.lines()) == 1


def test_heads_and_previews_of_a_link_that_leads_nowhere_get_its_status(start_worker: Start) -> None:
    worker = start_worker(link(expires=PAST), link("off", disabled=True))
    for slug in ("/spring", "/off"):
        assert worker.connect().request("HEAD", slug).status == 410
        preview = worker.get(slug, User_Agent="Twitterbot/1.0")
        assert (preview.status, "location" in preview.headers) == (410, False)
    assert worker.lines() == []
