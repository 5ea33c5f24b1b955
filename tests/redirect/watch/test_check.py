"""What a look at a destination amounts to: one word per finding, from a closed list."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from core.clock import DAY_MS
from redirect.watch.check import (
    KIND_OF,
    Baseline,
    Limits,
    Observation,
    Word,
    accept,
    confirmed,
    judge,
    remembered,
    state_of,
)

NOW = 1_790_000_000_000
URL = "https://shop.example/spring"
LIMITS = Limits(slow_ms=3_000, certificate_ms=14 * DAY_MS)


def seen(**fields: Any) -> Observation:
    values: dict[str, Any] = {
        "url": URL,
        "statuses": (200,),
        "final_url": URL,
        "ttfb_ms": 120,
        "certificate_expires": NOW + 60 * DAY_MS,
        "click_id_survived": True,
        "title": "Spring sale",
    }
    return Observation(**{**values, **fields})


def expected(**fields: Any) -> Baseline:
    return Baseline(**{"final_url": URL, "title": "Spring sale", "at": NOW - DAY_MS, **fields})


def words(observation: Observation, baseline: Baseline | None = None) -> list[str]:
    return [finding.word for finding in judge(observation, baseline=baseline, limits=LIMITS, now=NOW)]


def test_every_word_has_a_kind() -> None:
    assert set(get_args(Word)) == set(KIND_OF)


def test_a_page_that_is_as_it_was_has_no_findings() -> None:
    assert words(seen(), expected()) == []
    assert state_of(()) == "ok"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"statuses": (404,)}, "http_error"),
        ({"statuses": (302, 500)}, "http_error"),
        ({"statuses": (403,)}, "robots_refused"),
        ({"statuses": (429,)}, "robots_refused"),
        ({"final_url": "https://parked.example/spring"}, "final_url_changed"),
        ({"final_url": "https://shop.example/"}, "final_url_changed"),
        ({"title": "Page not found"}, "title_changed"),
        ({"certificate_expires": NOW + 13 * DAY_MS}, "certificate_expires_soon"),
        ({"ttfb_ms": 3_001}, "slow"),
        ({"click_id_survived": False}, "click_id_lost"),
        ({"https_left": True}, "left_https"),
        ({"statuses": (), "failure": "unreachable", "detail": "no address"}, "unreachable"),
        ({"failure": "timed_out", "detail": "10 s"}, "timed_out"),
        ({"failure": "too_many_hops", "detail": "6"}, "too_many_hops"),
        ({"failure": "certificate_invalid", "detail": "expired"}, "certificate_invalid"),
        ({"failure": "unsafe_hop", "detail": "127.0.0.1"}, "unsafe_hop"),
    ],
)
def test_what_is_wrong_has_its_word(fields: dict[str, Any], word: str) -> None:
    assert words(seen(**fields), expected()) == [word]


def test_every_word_of_the_list_is_found_by_some_look() -> None:
    cases: Any = test_what_is_wrong_has_its_word
    [mark] = [mark for mark in cases.pytestmark if mark.name == "parametrize"]
    assert {word for _, word in mark.args[1]} == set(KIND_OF)


@pytest.mark.parametrize(
    "fields",
    [
        {"final_url": URL + "?session=1"},
        {"final_url": "https://SHOP.example/spring/"},
        {"title": "Spring  sale"},
        {"ttfb_ms": 3_000},
        {"certificate_expires": NOW + 14 * DAY_MS},
        {"certificate_expires": 0},
    ],
)
def test_what_changes_from_visit_to_visit_is_no_finding(fields: dict[str, Any]) -> None:
    assert words(seen(**fields), expected()) == []


def test_a_counter_in_the_title_is_no_change() -> None:
    assert words(seen(title="(3) Spring sale"), expected(title="(12) Spring sale")) == []


def test_nothing_has_changed_while_nothing_is_remembered() -> None:
    assert words(seen(final_url="https://elsewhere.example/", title="?")) == []


def test_an_error_page_is_one_finding_not_three() -> None:
    gone = seen(statuses=(404,), title="Not found", final_url="https://shop.example/404", click_id_survived=False)
    assert words(gone, expected()) == ["http_error"]


def test_the_worst_comes_first_and_names_the_state() -> None:
    found = judge(seen(statuses=(500,), ttfb_ms=9_000), baseline=None, limits=LIMITS, now=NOW)
    assert [finding.word for finding in found] == ["http_error", "slow"]
    assert state_of(found) == "failing"
    assert state_of(found[1:]) == "care"


def test_the_first_good_look_is_remembered_and_an_error_page_never() -> None:
    assert remembered(seen(), at=NOW) == Baseline(final_url=URL, title="Spring sale", at=NOW)
    assert remembered(seen(statuses=(404,)), at=NOW) is None
    assert remembered(seen(failure="timed_out"), at=NOW) is None


def test_what_a_person_accepts_is_silent_from_then_on() -> None:
    moved = seen(final_url="https://shop.example/summer", click_id_survived=False)
    findings = judge(moved, baseline=expected(), limits=LIMITS, now=NOW)
    assert [finding.word for finding in findings] == ["final_url_changed", "click_id_lost"]
    baseline = accept(moved, findings, by="ann", at=NOW)
    assert baseline.accepted_by == "ann"
    assert words(moved, baseline) == []
    assert words(seen(), baseline) == ["final_url_changed"], "and back again is a change"


def test_only_what_two_looks_agree_on_is_told() -> None:
    def found(**fields: Any) -> Any:
        return judge(seen(**fields), baseline=expected(), limits=LIMITS, now=NOW)

    slow_once = confirmed(found(ttfb_ms=9_000), found())
    twice = confirmed(found(title="x"), found(title="x", ttfb_ms=9_000))
    differently = confirmed(found(failure="timed_out"), found(statuses=(502,)))
    assert slow_once == ()
    assert [finding.word for finding in twice] == ["title_changed"]
    assert [finding.word for finding in differently] == ["http_error"]
