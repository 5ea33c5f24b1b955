"""The documented order, one test per pair of steps, and what holds for every link and every visitor."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.records import Click
from redirect import reasons

from .routes import FALLBACK, FUTURE, NOW, PAST, A, B, Stated, decide, live, plan, rule, variants, where

MOBILE = Stated(device="mobile", os="ios", language="de-at", country_code="AT", query={b"a": b"1"})
HOLDS = rule(device=("mobile",))


@pytest.mark.parametrize(
    ("fields", "exhausted", "end", "trace"),
    [
        ({"disabled": True, "answer": "unavailable", "expires": PAST}, False, "disabled", ("disabled", "lost")),
        ({"disabled": True, "rules": (HOLDS,), "variants": variants(a=1), "fallback": FALLBACK}, True, "disabled", ("disabled", "lost")),
        ({"answer": "unavailable", "expires": PAST, "fallback": FALLBACK}, False, "unavailable", ("unavailable", "lost")),
        ({"answer": "unavailable", "rules": (HOLDS,), "variants": variants(a=1)}, False, "unavailable", ("unavailable", "lost")),
        ({"starts": FUTURE, "rules": (HOLDS,)}, False, "not_started", ("schedule:not_started", "lost")),
        ({"starts": FUTURE, "variants": variants(a=1)}, False, "not_started", ("schedule:not_started", "lost")),
        ({"starts": FUTURE, "fallback": FALLBACK}, False, "fallback", ("schedule:not_started", "fallback")),
        ({"expires": PAST, "rules": (HOLDS,)}, False, "expired", ("schedule:expired", "lost")),
        ({"expires": PAST, "fallback": FALLBACK}, False, "fallback", ("schedule:expired", "fallback")),
        ({"expires": PAST, "max_clicks": 1}, True, "expired", ("schedule:expired", "lost")),
        ({"starts": FUTURE, "max_clicks": 1}, True, "not_started", ("schedule:not_started", "lost")),
        ({"max_clicks": 1, "rules": (HOLDS,)}, True, "max_clicks_reached", ("schedule:max_clicks_reached", "lost")),
        ({"max_clicks": 1, "fallback": FALLBACK}, True, "fallback", ("schedule:max_clicks_reached", "fallback")),
        ({"max_clicks": 1, "rules": (HOLDS,)}, False, "ruled", ("schedule:open", "rule:r:holds", "rule_destination")),
        ({"starts": PAST, "expires": FUTURE}, False, "own", ("schedule:open", "destination")),
        ({"rules": (HOLDS, rule("s", destination=A, os=("ios",)))}, False, "ruled", ("rule:r:holds", "rule_destination")),
        (
            {"rules": (rule("no", os=("android",)), rule("s", destination=A, os=("ios",)))},
            False,
            "a",
            ("rule:no:os", "rule:s:holds", "rule_destination"),
        ),
        ({"rules": (HOLDS,), "variants": variants(a=1)}, False, "ruled", ("rule:r:holds", "rule_destination")),
        (
            {"rules": (rule(device=("mobile",), variants=variants(b=1)),), "variants": variants(a=1)},
            False,
            "b",
            ("rule:r:holds", "variant:b"),
        ),
        ({"rules": (rule(device=("tablet",)),), "variants": variants(a=1)}, False, "a", ("rule:r:device", "variant:a")),
        ({"variants": variants(a=1)}, False, "a", ("variant:a",)),
        ({"rules": (rule(device=("tablet",)),)}, False, "own", ("rule:r:device", "destination")),
        ({"fallback": FALLBACK}, True, "own", ()),
    ],
)  # fmt: skip
def test_what_comes_first_wins(fields: dict[str, Any], exhausted: bool, end: str, trace: tuple[str, ...]) -> None:
    decision = decide(MOBILE, exhausted=exhausted, **fields)
    assert (where(decision), decision.trace) == (end, trace)


@pytest.mark.parametrize(
    ("when", "failing"),
    [
        ({"device": ("mobile", "tablet")}, ""),
        ({"device": ("desktop",)}, "device"),
        ({"os": ("ios",)}, ""),
        ({"os": ("android",)}, "os"),
        ({"language": ("de",)}, ""),
        ({"language": ("de-AT",)}, ""),
        ({"language": ("de-DE", "en")}, "language"),
        ({"country": ("AT", "DE")}, ""),
        ({"country": ("DE",)}, "country"),
        ({"query": {"a": "1"}}, ""),
        ({"query": {"a": "*"}}, ""),
        ({"query": {"a": "2"}}, "query"),
        ({"query": {"a": "1", "b": "*"}}, "query"),
        ({"since": PAST}, ""),
        ({"since": FUTURE}, "since"),
        ({"until": FUTURE}, ""),
        ({"until": PAST}, "until"),
        ({"since": "2026-09-21T14:13:20Z", "until": "2026-09-21T14:13:21Z"}, ""),
        ({"until": "2026-09-21T14:13:20Z"}, "until"),
        ({"days": ("mon",)}, ""),
        ({"days": ("tue",)}, "days"),
        ({"hours": "16:00-17:00", "zone": "Europe/Vienna"}, ""),
        ({"hours": "16:00-17:00"}, "hours"),
        ({"country": ("DE",), "device": ("desktop",)}, "device"),
    ],
)  # fmt: skip
def test_every_condition_holds_or_names_itself(when: dict[str, Any], failing: str) -> None:
    trace = decide(MOBILE, rules=(rule(**when),)).trace
    assert trace[0] == f"rule:r:{failing or 'holds'}"
    assert not failing or failing in reasons.CONDITIONS


def test_without_a_database_a_country_is_false_and_the_trace_says_why() -> None:
    decision = decide(Stated(country_code=None), rules=(rule(country=("DE",)),))
    assert (where(decision), decision.trace) == ("own", ("rule:r:no_country_database", "destination"))


def test_a_plain_link_has_no_plan_and_no_trace() -> None:
    assert live().plan is None
    assert live(fallback=FALLBACK, tags=("a",)).plan is None
    assert decide().trace == ()


def test_the_record_names_the_page_the_variant_and_the_status_of_the_choice() -> None:
    lost = decide(expires=PAST, variants=variants(a=1), client="acme")
    drawn = decide(variants=variants(a=1), client="acme", status=307)
    clicks = [
        msgspec.json.decode(
            decision.target.record + b',"ts":1,"click_id":"c","hit_id":"h","duration_us":1}', type=Click
        )
        for decision in (lost, drawn)
    ]
    assert [(c.http_status, c.reason, c.variant, c.page, c.client) for c in clicks] == [
        (410, "expired", "", "shop.example/own", "acme"),
        (307, "redirected", "a", "shop.example/a", "acme"),
    ]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"starts": FUTURE}, 404), ({"expires": PAST}, 410), ({"max_clicks": 1}, 410)],
)
def test_a_link_that_will_come_is_not_gone(fields: dict[str, Any], status: int) -> None:
    assert decide(exhausted=True, **fields).target.status == status


def test_the_first_millisecond_counts_and_the_last_does_not() -> None:
    moment = "2026-09-21T14:13:20Z"
    assert decide(starts=moment, now=NOW).trace[0] == "schedule:open"
    assert decide(starts=moment, now=NOW - 1).trace[0] == "schedule:not_started"
    assert decide(expires=moment, now=NOW - 1).trace[0] == "schedule:open"
    assert decide(expires=moment, now=NOW).trace[0] == "schedule:expired"


WHENS = st.fixed_dictionaries(
    {},
    optional={
        "device": st.lists(st.sampled_from(["desktop", "mobile", "bot"]), min_size=1, max_size=2).map(tuple),
        "os": st.sampled_from([("ios",), ("windows", "other")]),
        "language": st.sampled_from([("de",), ("de-AT",), ("en", "fr")]),
        "country": st.sampled_from([("DE",), ("AT", "CH")]),
        "query": st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "*"]), min_size=1, max_size=2),
        "since": st.sampled_from([PAST, FUTURE]),
        "days": st.sampled_from([("mon",), ("sat", "sun")]),
        "hours": st.sampled_from(["09:00-18:00", "22:00-06:00"]),
    },
).filter(bool)
VARIANTS = (
    st.lists(st.integers(0, 3), min_size=1, max_size=3)
    .filter(any)
    .map(lambda weights: variants(**{f"v{i}": weight for i, weight in enumerate(weights)}))
)
LINKS = st.fixed_dictionaries(
    {},
    optional={
        "rules": st.lists(st.tuples(WHENS, st.none() | VARIANTS), max_size=3).map(
            lambda parts: tuple(rule(f"r{i}", variants=drawn or (), **when) for i, (when, drawn) in enumerate(parts))
        ),
        "variants": VARIANTS,
        "starts": st.sampled_from([PAST, FUTURE]),
        "expires": st.just(FUTURE),
        "max_clicks": st.integers(0, 2),
        "fallback": st.just(FALLBACK),
        "disabled": st.booleans(),
    },
).filter(lambda fields: fields.get("starts") != FUTURE or "expires" not in fields)
VISITORS = st.builds(
    Stated,
    device=st.sampled_from(["desktop", "mobile", "tablet", "bot", "other"]),
    os=st.sampled_from(["ios", "windows", "other"]),
    language=st.sampled_from(["", "de", "de-at", "en-gb", "zh-hant-tw"]),
    country_code=st.sampled_from([None, "", "DE", "AT"]),
    query=st.dictionaries(st.sampled_from([b"a", b"b"]), st.binary(max_size=2), max_size=2),
)


@given(LINKS, VISITORS, st.integers(0, 2**43), st.integers(0, 2**128 - 1), st.booleans())
def test_every_visitor_ends_somewhere_the_link_says(
    fields: dict[str, Any], visitor: Stated, now: int, number: int, exhausted: bool
) -> None:
    decision = decide(visitor, now=now, key=f"{number:032x}", exhausted=exhausted, **fields)
    drawn = [*fields.get("variants", ()), *(v for one in fields.get("rules", ()) for v in one.variants)]
    ends = {"own", "ruled", "fallback", *(variant.name for variant in drawn)}
    lost = {"disabled", "not_started", "expired", "max_clicks_reached"}
    assert where(decision) in ends | lost
    assert (decision.target.outcome == "redirected") == (where(decision) in ends)
    assert decision == decide(visitor, now=now, key=f"{number:032x}", exhausted=exhausted, **fields), "no memory"
    words = {word.rpartition(":")[2] for word in decision.trace if word.startswith(("rule:", "schedule:"))}
    assert words <= {*reasons.CONDITIONS, reasons.HOLDS, reasons.OPEN, *lost}


def test_facts_are_asked_for_only_when_a_condition_needs_them() -> None:
    class Silent(Stated):
        def country(self, now: int) -> str | None:
            raise AssertionError("nobody needs the country")

    wanted = (rule("m", device=("tablet",), country=("DE",)), rule("d", device=("desktop",)))
    assert where(decide(Silent(device="desktop"), rules=wanted)) == "ruled"


def test_links_may_name_the_same_page_twice() -> None:
    assert plan(variants=variants(a=1, b=1), destination=A, fallback=B).fallback is not None
