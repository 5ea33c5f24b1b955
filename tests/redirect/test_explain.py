"""Why a hit goes where it goes, in words; and that the words are what really happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redirect.explain import Explanation, explain, state_visitor
from redirect.links.model import Link, LinkDefinition, checked
from redirect.live_link import to_live

from .live_worker import ThreadWorker
from .live_worker import link as live_definition
from .routes import ALLOWED, FALLBACK, FUTURE, NOW, OWN, PAST, VISITOR, rule, variants, write_countries
from .test_resolve import LINKS
from .test_visitor import IPHONE

RULES = (
    rule("ios-de", os=("ios",), country=("DE",)),
    rule("vip", query={"vip": "*"}, destination="https://shop.example/vip?a=own#top"),
    rule("never", device=("bot",)),
)


def told(
    *, query: str = "", visitor_id: str = "", now: int = NOW, exhausted: bool = False, said: Any = None, **fields: Any
) -> Explanation:
    definition = checked(LinkDefinition(**{"slug": "spring", "destination": OWN, **fields}), allowed=ALLOWED)
    link = Link(link_id="ab" * 16, version=3, definition=definition, updated_at=NOW)
    nothing = {"device": "", "os": "", "language": "", "country": "", "user_agent": ""}
    visitor = state_visitor(**{**nothing, **(said or {})}, query=query.encode())
    return explain(
        link,
        to_live(link, allowed=ALLOWED),
        visitor,
        query=query.encode(),
        now=now,
        visitor_id=visitor_id,
        exhausted=exhausted,
    )


def lines(found: Explanation) -> list[str]:
    return [f"{step.step} | {step.result} | {step.why}" for step in found.steps]


def test_every_rule_says_why() -> None:
    said = {"user_agent": IPHONE.decode(), "country": "at"}
    found = told(rules=RULES, query="a=1&vip=yes&gclid=x", said=said)
    assert lines(found) == [
        "rule ios-de | country | It does not apply: country is AT, wanted DE.",
        "rule vip | holds | It applies: vip is yes.",
        "rule never | not_tried | An earlier rule holds already.",
        "end | rule_destination | Answered 302 with the Location below.",
    ]
    assert found.trace == ("rule:ios-de:country", "rule:vip:holds", "rule_destination")
    assert found.location.startswith("https://shop.example/vip?a=own&vip=yes&gclid=x&ct_click=")
    assert found.location.endswith("#top")
    assert len(found.location.partition("ct_click=")[2]) == 32 + len("#top"), "derived from the gclid"


def test_all_conditions_that_fail_are_named() -> None:
    when = {
        "device": ("mobile", "tablet"),
        "language": ("de",),
        "query": {"a": "1"},
        "days": ("sun",),
        "hours": "09:00-18:00",
    }
    [step, _] = told(rules=(rule(**when, zone="Europe/Vienna"),), said={"device": "desktop", "language": "en"}).steps
    assert step.result == "days"
    assert step.why == (
        "It does not apply: it is 2026-09-21T14:13:20.000Z, wanted sun 09:00-18:00 in Europe/Vienna; a is not there, wanted 1; "
        "device is desktop, wanted mobile or tablet; language is en, wanted de."
    )


@pytest.mark.parametrize(
    ("fields", "line", "location"),
    [
        ({"disabled": True, "rules": RULES}, "disabled | disabled | The link is switched off; nothing else counts.", ""),
        ({"answer": "unavailable"}, "answer | unavailable | The link's answer is set to unavailable; its rules do not count.", ""),
        (
            {"expires": PAST},
            f"schedule | expired | It expired at {PAST}, and it is 2026-09-21T14:13:20.000Z: hits are lost, there is no fallback.",
            "",
        ),
        (
            {"starts": FUTURE, "fallback": FALLBACK},
            f"schedule | not_started | It starts at {FUTURE}, and it is 2026-09-21T14:13:20.000Z: hits go to the fallback.",
            f"{FALLBACK}?ct_click=<click-id>",
        ),
        ({"max_clicks": 5}, "schedule | max_clicks_reached | It had its 5 clicks: hits are lost, there is no fallback.", ""),
        ({"starts": PAST}, "schedule | open | Open at 2026-09-21T14:13:20.000Z.", f"{OWN}?ct_click=<click-id>"),
    ],
)  # fmt: skip
def test_the_schedule_speaks_first(fields: dict[str, Any], line: str, location: str) -> None:
    found = told(exhausted=True, **fields)
    assert (lines(found)[0], found.location) == (line, location)


def test_weights_are_shares_and_a_visitor_has_one_of_them() -> None:
    found = told(variants=variants(a=1, b=3), visitor_id=VISITOR)
    assert found.variant in ("a", "b")
    assert (
        lines(found)[0]
        == f"weights | variant:{found.variant} | a 25.0%, b 75.0%; this visitor always gets {found.variant}."
    )
    assert "for example" in told(variants=variants(a=1, b=3)).steps[0].why


@given(LINKS, st.sampled_from(["", "a=1", "b=2&gclid=x"]), st.booleans())
def test_whatever_the_link_there_is_an_explanation_that_ends(
    fields: dict[str, Any], query: str, exhausted: bool
) -> None:
    found = told(query=query, exhausted=exhausted, **fields)
    assert found.steps[-1].step == "end"
    assert bool(found.location) == (found.outcome == "redirected")
    assert all(step.why.endswith(".") for step in found.steps)


def test_what_is_explained_is_what_happens(start_worker: Callable[..., ThreadWorker], tmp_path: Path) -> None:
    database = tmp_path / "c.mmdb"
    write_countries(database, {"127.0.0.0/8": "DE"})
    fields = {"rules": RULES, "variants": variants(a=1, b=1), "expires": FUTURE}
    worker = start_worker(live_definition(destination=OWN, **fields), country_database=str(database))
    now = worker.worker.clock()
    for agent in (IPHONE.decode(), "curl/8.5.0"):
        for query in ("gclid=x", "gclid=x&vip=1"):
            reply = worker.get(f"/spring?{query}", User_Agent=agent, Cookie=f"ct_vid={VISITOR}")
            said = {"user_agent": agent, "country": "DE"}
            link = worker.links.find("spring")
            expected = explain(
                link,
                worker.links.prepared(link),
                state_visitor(device="", os="", language="", **said, query=query.encode()),
                query=query.encode(),
                now=now,
                visitor_id=VISITOR,
                exhausted=False,
            )
            assert reply.location == expected.location
            assert worker.lines()[-1]["routing"] == list(expected.trace)


def test_parallel_tracking_is_said_first() -> None:
    step = told(parallel_tracking=True, variants=variants(a=1)).steps[0]
    assert (step.step, step.result) == ("parallel tracking", "parallel")
