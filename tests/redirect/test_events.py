"""`POST /ct/e`: what becomes a touch, what is refused and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.rate_limit import RateLimit
from redirect import events
from redirect.reasons import OUTCOMES

from .live_worker import Reply, ThreadWorker, link

Start = Callable[..., ThreadWorker]
NOW = 1_790_000_000_000
CLICK = "ab" * 16


def post(worker: ThreadWorker, body: Any, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return worker.connect().request("POST", "/ct/e", body=data, **{"Content_Type": "text/plain", **headers})


def parse(batch: dict[str, Any]) -> tuple[events.Touch, ...]:
    return events.parse(json.dumps(batch).encode(), now=NOW, visitor_id="cd" * 16, user_agent="ua", private=False)


def refusal(body: bytes) -> str | None:
    try:
        events.parse(body, now=NOW, visitor_id="", user_agent="", private=False)
    except Invalid as refused:
        return refused.reason
    return None


def test_a_batch_becomes_touches_in_the_journal(worker: ThreadWorker) -> None:
    batch = {
        "click": CLICK, "session": "s1", "page": "https://Shop.example/p/?q=secret",
        "events": [{"name": "page_view", "duration": 120.6}, {"name": "add_to_cart", "value": 59.9, "attributes": {"n": 1, "gift": True}}],
    }  # fmt: skip
    reply = post(worker, batch, Cookie="ct_vid=" + "cd" * 16, User_Agent="browser")
    assert (reply.status, reply.body) == (204, b"")
    first, second = worker.lines("touch")
    assert (first["name"], first["click_id"], first["visitor_id"], first["session_id"]) == (
        "page_view",
        CLICK,
        "cd" * 16,
        "s1",
    )
    assert (first["page"], first["duration_ms"], first["user_agent"], first["source"]) == (
        "shop.example/p",
        120,
        "browser",
        "snippet",
    )
    assert (second["value"], second["attributes"]) == (59.9, {"n": "1", "gift": "true"})


def test_the_age_dates_an_event_and_is_bounded() -> None:
    touches = parse({"events": [{"name": "page_view", "age": age} for age in (0, 1500, -99, 10**12)]})
    assert [touch.ts for touch in touches] == [NOW, NOW - 1500, NOW, NOW - events.MAX_AGE_MS]


def test_without_consent_neither_visitor_nor_session_is_kept(worker: ThreadWorker) -> None:
    batch = {"click": CLICK, "session": "s1", "consent": "no", "events": [{"name": "page_view"}]}
    post(worker, batch, Cookie="ct_vid=" + "cd" * 16)
    post(worker, batch | {"consent": ""}, Cookie="ct_vid=" + "cd" * 16, Sec_GPC="1")
    for line in worker.lines("touch"):
        assert line["click_id"] == CLICK
        assert not {"visitor_id", "session_id"} & line.keys()


def test_personal_attributes_are_left_out() -> None:
    [touch] = parse(
        {
            "events": [
                {
                    "name": "form_error",
                    "attributes": {"email": "x", "Phone": "1", "why": "eva@x.example is taken", "field": "zip"},
                }
            ]
        }
    )
    assert touch.attributes == {"field": "zip"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "events_malformed"),
        (b"not json", "events_malformed"),
        (b"[]", "events_malformed"),
        (b"{}", "events_malformed"),
        (b'{"events": {}}', "events_malformed"),
        (b'{"events": [{}]}', "events_malformed"),
        (b'{"events": [{"name": 1}]}', "events_malformed"),
        (b'{"events": [{"name": "page_view", "age": "old"}]}', "events_malformed"),
        (b'{"events": [{"name": "page_view", "attributes": {"a": [1]}}]}', "events_malformed"),
        (b'{"events": [{"name": "page_view", "value": NaN}]}', "events_malformed"),
        (b"\xff\xfe", "events_malformed"),
        (b'{"events": []}', "events_too_many"),
        (b'{"events": [' + b",".join([b'{"name":"page_view"}'] * 51) + b"]}", "events_too_many"),
        (b'{"events": [{"name": "rm -rf"}]}', "events_unknown_name"),
        (b'{"click": "ABC", "events": [{"name": "page_view"}]}', "events_bad_click_id"),
        (b'{"click": "%b", "events": [{"name": "page_view"}]}' % (b"0" * 32), "events_bad_click_id"),
        (b'{"session": "<script>", "events": [{"name": "page_view"}]}', "events_bad_field"),
        (b'{"events": [{"name": "page_view", "attributes": {"a b": "c"}}]}', "events_bad_field"),
        (json.dumps({"events": [{"name": "page_view", "attributes": {f"a{i}": "" for i in range(17)}}]}).encode(), "events_bad_field"),
    ],
)  # fmt: skip
def test_bad_input_is_a_400_with_a_named_reason(worker: ThreadWorker, body: bytes, reason: str) -> None:
    reply = post(worker, body)
    assert (reply.status, reply.json()["reason"]) == (400, reason)
    assert worker.lines("touch") == []
    assert reason in OUTCOMES


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_by_name(body: bytes) -> None:
    assert refusal(body) in (None, *OUTCOMES)


def test_a_page_of_another_origin_may_send_and_read_the_answer(worker: ThreadWorker) -> None:
    reply = post(worker, {"events": [{"name": "page_view"}]}, Origin="https://shop.example")
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "Origin"


def test_a_preflight_is_answered(worker: ThreadWorker) -> None:
    reply = worker.connect().request(
        "OPTIONS", "/ct/e", Origin="https://shop.example", Access_Control_Request_Method="POST"
    )
    assert (reply.status, reply.headers["access-control-allow-methods"]) == (204, "POST")


def test_with_configured_sites_others_are_turned_away(start_worker: Start) -> None:
    worker = start_worker(link(), sites=["shop.example"])
    good = post(worker, {"events": [{"name": "page_view"}]}, Origin="https://shop.example")
    bad = post(worker, {"events": [{"name": "page_view"}]}, Origin="https://evil.example")
    assert (good.status, bad.status, bad.json()["reason"]) == (204, 403, "events_foreign_origin")


def test_get_is_not_allowed(worker: ThreadWorker) -> None:
    assert worker.get("/ct/e").status == 405


def test_one_address_cannot_flood(start_worker: Start) -> None:
    worker = start_worker(link(), events_per_second=1)
    replies = [post(worker, {"events": [{"name": "page_view"}]}) for _ in range(14)]
    assert [reply.status for reply in replies].count(204) in (10, 11)
    assert (replies[-1].status, replies[-1].json()["reason"]) == (429, "events_rate_limited")
    assert worker.get("/spring").status == 302, "links are not limited by it"


def test_the_bucket_refills_with_time_and_each_address_has_its_own() -> None:
    limit = RateLimit(per_second=2)
    assert [limit.allows("a", now=NOW) for _ in range(21)] == [True] * 20 + [False]
    assert limit.allows("b", now=NOW)
    assert [limit.allows("a", now=NOW + 1000) for _ in range(3)] == [True, True, False]
    assert limit.allows("a", now=NOW - 5000) is False, "a clock that steps back gives nothing away"


def test_zero_means_no_limit() -> None:
    limit = RateLimit(per_second=0)
    assert all(limit.allows("a", now=NOW) for _ in range(1000))
