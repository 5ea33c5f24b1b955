from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from collectors.push.api import split
from collectors.push.bodies import PLATFORM_IDS, SHAPES, from_json
from collectors.refusals import REASONS
from collectors.versions import RECENT_MS
from core.clock import to_rfc3339
from core.errors import Refusal
from core.records import Campaign, Conversion, Deploy, Gauge, Impression, Spend

TS = "2026-09-21T14:10:00Z"
TS_MS = 1_789_999_800_000
ORDER: dict[str, Any] = {
    "conversion_id": "o-17",
    "type": "order",
    "status": "confirmed",
    "value": "59.90",
    "currency": "EUR",
    "ts": TS,
    "gclid": "Cj0abc",
    "order_id": "o-17",
}
SPEND: dict[str, Any] = {
    "platform": "google",
    "account": "1",
    "campaign": "2",
    "bucket": "2026-09-21T13:00:00Z",
    "bucket_s": 3600,
    "cost": "12.34",
    "currency": "EUR",
    "clicks": 10,
    "impressions": 900,
}
GOOD: dict[str, dict[str, Any]] = {
    "conversions": ORDER,
    "spend": SPEND,
    "deploys": {
        "service": "shop",
        "version": "1.4.2",
        "change": "deploy",
        "ts": TS,
        "author": "ann",
        "link": "https://ci/1",
    },
    "impressions": {"platform": "meta", "account": "9", "campaign": "3", "ts": TS, "impression_id": "i1"},
    "gauges": {"service": "shop", "name": "queue.depth", "value": 4.5, "ts": TS},
    "campaigns": {"campaign": "google:1:2", "margin": "12.50", "currency": "EUR", "owner": "ann", "target_cpl": "30"},
}


def send(doors: Any, collection: str, body: Any, *, key: str | None = None) -> list[dict[str, Any]]:
    response = doors.post(f"/api/v1/{collection}", json.dumps(body).encode(), key=key)
    assert response.status_code == 207, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_an_order_is_journaled_with_our_units(doors: Any, journaled: Any) -> None:
    assert send(doors, "conversions", ORDER) == [{"index": 0, "status": 201, "id": "o-17"}]
    (record,) = journaled()
    assert record == Conversion(
        ts=TS_MS,
        source="push",
        fact_id="conversion::backend:order:o-17",
        conversion_id="o-17",
        type="order",
        status="confirmed",
        origin="backend",
        value_micros=59_900_000,
        currency="EUR",
        platform_ids={"gclid": "Cj0abc"},
        order_id="o-17",
    )


def test_every_platform_id_is_a_key_of_its_own(doors: Any, journaled: Any) -> None:
    ids = {name: f"{name}-value" for name in PLATFORM_IDS}
    send(doors, "conversions", {"conversion_id": "1", "type": "lead", "ts": TS, **ids})
    assert journaled()[0].platform_ids == ids


def test_spend_is_keyed_by_campaign_bucket_and_grain(doors: Any, journaled: Any) -> None:
    send(doors, "spend", SPEND)
    (record,) = journaled()
    assert isinstance(record, Spend)
    assert record.fact_id == f"spend:google:1:2:{record.ts}:3600::::"
    assert (record.campaign, record.cost_micros, record.clicks) == ("google:1:2", 12_340_000, 10)


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        ("conversions", Conversion),
        ("spend", Spend),
        ("deploys", Deploy),
        ("impressions", Impression),
        ("gauges", Gauge),
        ("campaigns", Campaign),
    ],
)
def test_every_endpoint_takes_one_object_or_an_array(doors: Any, journaled: Any, collection: str, kind: type) -> None:
    assert send(doors, collection, GOOD[collection])[0]["status"] == 201
    assert send(doors, collection, [GOOD[collection]])[0]["index"] == 0
    assert all(isinstance(record, kind) for record in journaled())


def test_good_items_of_a_bad_batch_are_kept_each_with_its_result(doors: Any, journaled: Any) -> None:
    batch = [
        ORDER,
        {**ORDER, "conversion_id": "o-18", "vlaue": "1"},
        {"conversion_id": "o-19", "ts": TS},
        {**ORDER, "conversion_id": "o-20", "value": "a lot"},
        "o-21",
        {**ORDER, "conversion_id": "o-22"},
    ]
    results = send(doors, "conversions", batch)
    assert [(r["index"], r["status"], r.get("reason")) for r in results] == [
        (0, 201, None),
        (1, 422, "unknown_field"),
        (2, 422, "missing_field"),
        (3, 422, "bad_value"),
        (4, 422, "not_an_object"),
        (5, 201, None),
    ]
    assert "vlaue" in results[1]["detail"]
    assert "type" in results[2]["detail"]
    assert "value" in results[3]["detail"]
    assert [record.conversion_id for record in journaled()] == ["o-17", "o-22"]


BAD_VALUES = {
    "ts without zone": {"ts": "2026-09-21T14:10:00"},
    "ts not a time": {"ts": "yesterday"},
    "ts in the far future": {"ts": "2026-09-29T14:10:00Z"},
    "ts before 2000": {"ts": "1970-01-20T00:00:00Z"},
    "ts a number": {"ts": 1_789_999_800},
    "value a number": {"value": 59.9},
    "value not finite": {"value": "NaN"},
    "value beyond 64 bits": {"value": "9e15"},
    "currency lower case": {"currency": "eur"},
    "status unknown": {"status": "done"},
    "origin unknown": {"origin": "shop"},
    "click_id upper case": {"click_id": "A" * 32},
    "click_id too short": {"click_id": "abc"},
    "visitor_id not hex": {"visitor_id": "visitor"},
    "mail address not hashed": {"email_sha256": "ann@example.org"},
    "platform id too long": {"gclid": "x" * 513},
    "text too long": {"order_id": "x" * 3000},
    "NUL": {"order_id": "a\x00b"},
    "too many attributes": {"attributes": {str(n): "" for n in range(65)}},
}


@pytest.mark.parametrize("change", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_is_refused_by_that_word(doors: Any, journaled: Any, change: dict[str, Any]) -> None:
    (result,) = send(doors, "conversions", {**ORDER, **change})
    assert (result["status"], result["reason"]) == (422, "bad_value")
    assert next(iter(change)) in result["detail"]
    assert journaled() == []


def test_a_mail_address_sent_by_mistake_is_not_repeated_in_the_answer(doors: Any) -> None:
    (result,) = send(doors, "conversions", {**ORDER, "email_sha256": "ann@example.org"})
    assert "ann@example.org" not in json.dumps(result)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"campaign": "google:1"}, "bad_value"),
        ({"campaign": "google:5:2"}, "bad_value"),
        ({"account": ""}, "missing_field"),
        ({"bucket_s": 0}, "bad_value"),
        ({"clicks": -1}, "bad_value"),
        ({"currency": ""}, "missing_field"),
    ],
)
def test_spend_that_names_no_campaign_or_bucket_is_refused(doors: Any, change: dict[str, Any], reason: str) -> None:
    assert send(doors, "spend", {**SPEND, **change})[0]["reason"] == reason


def test_a_repeated_item_changes_nothing_and_says_so(doors: Any, journaled: Any) -> None:
    send(doors, "conversions", ORDER)
    assert send(doors, "conversions", ORDER) == [{"index": 0, "status": 200, "id": "o-17"}]
    assert [r["status"] for r in send(doors, "conversions", [ORDER, {**ORDER, "value": "60"}, ORDER])] == [
        200,
        201,
        201,
    ]
    assert [record.value_micros for record in journaled()] == [59_900_000, 60_000_000, 59_900_000], "a value may return"


def test_what_is_unchanged_is_known_after_a_restart_from_the_store(
    doors_with_store: Any, journaled: Any, ship: Any, clock: Any
) -> None:
    first = [GOOD[collection] for collection in ("conversions", "spend", "deploys", "impressions", "campaigns")]
    collections = ("conversions", "spend", "deploys", "impressions", "campaigns")
    for collection, body in zip(collections, first, strict=True):
        send(doors_with_store, collection, body)
    ship()
    clock.advance(RECENT_MS + 1)  # the memory of recent facts is over: the store is asked
    for collection, body in zip(collections, first, strict=True):
        assert send(doors_with_store, collection, body)[0]["status"] == 200, collection
    assert len(journaled()) == 5
    assert send(doors_with_store, "conversions", {**ORDER, "status": "returned"})[0]["status"] == 201


def test_a_state_that_returns_is_news_however_long_ago_it_was_sent_first(
    doors_with_store: Any, ship: Any, clock: Any
) -> None:
    first, later = {**ORDER, "status": "captured"}, {**ORDER, "status": "returned", "ts": "2026-09-20T10:00:00Z"}
    for body in (first, later):
        assert send(doors_with_store, "conversions", body)[0]["status"] == 201
        ship()
        clock.advance(RECENT_MS + 1)
    assert send(doors_with_store, "conversions", later)[0]["status"] == 200, "the current version"
    assert send(doors_with_store, "conversions", first)[0]["status"] == 201, "an older one, at its own time"
    ship()
    clock.advance(RECENT_MS + 1)
    assert send(doors_with_store, "conversions", first)[0]["status"] == 200
    assert send(doors_with_store, "conversions", later)[0]["status"] == 201


def test_a_full_conversion_survives_the_way_to_the_store_and_back(doors_with_store: Any, ship: Any, clock: Any) -> None:
    full = {
        **ORDER,
        "click_id": "0123456789abcdef0123456789abcdef",
        "visitor_id": "00000000000000000000000000000001",
        "crm_id": "c",
        "email_sha256": "AB" * 32,
        "phone_sha256": "cd" * 32,
        "client": "acme",
        "page": "shop.example/p",
        "user_agent": "Mozilla/5.0",
        "attributes": {"coupon": "é"},
        "fbclid": "f",
    }
    send(doors_with_store, "conversions", full)
    ship()
    clock.advance(RECENT_MS + 1)
    assert send(doors_with_store, "conversions", full)[0]["status"] == 200


@pytest.mark.parametrize("key", ["", "wrong"])
def test_no_key_or_a_wrong_one_is_401(doors: Any, journaled: Any, key: str) -> None:
    response = doors.post("/api/v1/conversions", json.dumps(ORDER).encode(), key=key)
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
    assert journaled() == []


def test_a_key_without_the_scope_is_403(doors: Any) -> None:
    assert doors.post("/api/v1/conversions", b"{}", key=doors.reader_key).status_code == 403


@pytest.mark.parametrize(
    ("collection", "change", "reason"),
    [
        ("conversions", {"client": "zenith"}, "forbidden_client"),
        ("spend", {"account": "2"}, "forbidden_client"),
        ("spend", {"account": "77"}, "forbidden_client"),
        ("campaigns", {"campaign": "google:2:2"}, "forbidden_client"),
        ("deploys", {}, "forbidden_client"),
        ("gauges", {}, "forbidden_client"),
    ],
)
def test_a_tenants_key_writes_for_its_client_only(
    doors: Any, journaled: Any, collection: str, change: dict[str, Any], reason: str
) -> None:
    (result,) = send(doors, collection, {**GOOD[collection], **change}, key=doors.tenant_key)
    assert result["reason"] == reason
    assert result["status"] in (403, 422)
    assert journaled() == []


def test_the_only_client_of_a_key_is_filled_in_and_one_of_several_must_be_named(doors: Any, journaled: Any) -> None:
    assert send(doors, "conversions", ORDER, key=doors.tenant_key)[0]["status"] == 201
    assert send(doors, "conversions", ORDER, key=doors.two_tenants_key)[0]["reason"] == "missing_field"
    (record,) = journaled()
    assert (record.client, record.fact_id) == ("acme", "conversion:acme:backend:order:o-17")


def test_a_tenants_key_writes_for_its_own(doors: Any, journaled: Any) -> None:
    key = doors.tenant_key
    assert send(doors, "conversions", {**ORDER, "client": "acme"}, key=key)[0]["status"] == 201
    assert send(doors, "spend", SPEND, key=key)[0]["status"] == 201
    assert send(doors, "campaigns", GOOD["campaigns"], key=key)[0]["status"] == 201
    assert journaled()[2].client == "acme", "the account's owner is filled in"


def counted(outcome: str) -> float:
    labels = {"collection": "conversions", "outcome": outcome}
    return REGISTRY.get_sample_value("clicktrace_push_items_total", labels) or 0


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "empty"),
        (b"[]", 400, "empty"),
        (b"{", 400, "malformed"),
        (b'[{"a":1},', 400, "malformed"),
        (b'{"a":1} {"a":2}', 400, "malformed"),
        (b'[{"a":tru}]', 400, "malformed"),
        (b'{"a":"\xff"}', 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b"[" + b"{}," * 500 + b"{}]", 413, "too_many_items"),
        (b" " * 100_001, 413, "body_too_large"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_a_body_that_cannot_be_read_is_refused_whole(
    doors: Any, journaled: Any, body: bytes, status: int, reason: str
) -> None:
    before = counted(reason)
    response = doors.post("/api/v1/conversions", body)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert counted(reason) == before + 1, "else nobody is told of a sender whose bodies are all refused"
    assert response.headers["content-type"] == "application/problem+json"
    assert reason in REASONS
    assert journaled() == []


def test_a_journal_that_cannot_be_written_is_503(doors: Any, journal: Any) -> None:
    journal.close()
    response = doors.post("/api/v1/conversions", json.dumps(ORDER).encode())
    assert (response.status_code, response.json()["reason"]) == (503, "journal_unavailable")


def refusal_word(work: Callable[[], object]) -> str:
    """The word of the refusal that `work` ends with, "" when it succeeds."""
    try:
        work()
    except Refusal as refusal:
        return refusal.reason
    return ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=5),
    max_leaves=12,
)
NAMES = st.sampled_from([*ORDER, *SPEND, "service", "version", "name", "change", "campaign", "attributes", "client"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(collection=st.sampled_from(sorted(SHAPES)), changes=st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_an_item_holds_it_becomes_a_record_or_a_named_refusal(
    collection: str, changes: dict[str, Any]
) -> None:
    body = json.dumps({**GOOD[collection], **changes}).encode()
    assert refusal_word(lambda: from_json(SHAPES[collection], body, now=TS_MS)) in {"", *REASONS}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_whatever_bytes_come_they_are_split_or_refused_by_name(body: bytes) -> None:
    assert refusal_word(lambda: split(body, max_items=10)) in {"", *REASONS}


def test_times_keep_their_milliseconds() -> None:
    record = from_json(
        SHAPES["deploys"], json.dumps({**GOOD["deploys"], "ts": to_rfc3339(TS_MS + 7)}).encode(), now=TS_MS
    )
    assert record.ts == TS_MS + 7
