"""Meta's Conversions API: the real client against the sandbox, over loopback."""

from __future__ import annotations

import pytest

from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, QuotaExceeded, Transient
from tests.uploads.events import AGENT, CLICK_TS, FBCLID, event
from uploads.base import Event, Receipt, Refused
from uploads.meta_conversions.destination import browser_click_id


def purchase(number: int = 1, **changes: object) -> Event:
    return event(number, target="Purchase", name="fbclid", **changes)


def test_an_event_carries_what_the_documentation_asks_for(to_meta, meta) -> None:
    assert to_meta().send([purchase()], deadline_s=5) == Receipt()
    assert meta.requests[-1].json == {
        "data": [
            {
                "event_name": "Purchase",
                "event_time": 1_789_999_940,
                "event_id": "o-1",
                "action_source": "website",
                "event_source_url": "https://shop.example/thanks",
                "user_data": {"fbc": f"fb.1.{CLICK_TS}.{FBCLID}", "client_user_agent": AGENT},
                "custom_data": {"currency": "EUR", "value": 59.9},
            }
        ]
    }


def test_the_click_id_keeps_its_case_and_the_time_of_the_click_or_else_of_the_conversion() -> None:
    assert browser_click_id(purchase()) == f"fb.1.{CLICK_TS}.{FBCLID}"
    assert browser_click_id(purchase(click_ts=0, ts=1_700_000_000_000)) == f"fb.1.1700000000000.{FBCLID}"


def test_the_token_travels_in_a_header_and_is_read_at_every_call(to_meta, meta) -> None:
    destination = to_meta()
    destination.send([purchase(1)], deadline_s=5)
    meta.token = "EAABrotated"
    with pytest.raises(Permanent, match="190"):
        destination.send([purchase(2)], deadline_s=5)
    meta.credentials_file.write_text(meta.token)
    destination.send([purchase(2)], deadline_s=5)
    assert not any(request.query for request in meta.requests)


def test_events_of_another_source_need_no_browser(to_meta, meta, clock) -> None:
    destination = to_meta(action_source="system_generated", send_contacts=True)
    found = purchase(user_agent="", page="")
    assert destination.objection(found, now=clock.now) == ""
    destination.send([found], deadline_s=5)
    (sent,) = meta.requests[-1].json["data"]
    assert "event_source_url" not in sent
    assert sent["user_data"] == {"fbc": f"fb.1.{CLICK_TS}.{FBCLID}", "em": ["e" * 64]}


@pytest.mark.parametrize("email", ["e" * 64, ""])
def test_a_telephone_number_is_not_sent_because_meta_hashes_it_without_the_plus(to_meta, meta, email: str) -> None:
    to_meta(send_contacts=True).send([purchase(email_sha256=email, phone_sha256="f" * 64)], deadline_s=5)
    (sent,) = meta.requests[-1].json["data"]
    assert sent["user_data"].get("em") == ([email] if email else None)
    assert "ph" not in sent["user_data"]
    assert "f" * 64 not in meta.requests[-1].body.decode()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"user_agent": ""}, "no_user_agent"),
        ({"user_agent": "", "click_user_agent": AGENT}, ""),
        ({"page": "/thanks"}, "no_page_url"),
        ({"age": 7 * DAY_MS - HOUR_MS - 1}, ""),
        ({"age": 7 * DAY_MS - HOUR_MS + 1}, "too_old"),
    ],
)
def test_what_meta_would_not_take_is_objected_to(to_meta, clock, changes: dict[str, object], word: str) -> None:
    if age := changes.pop("age", 0):
        changes["ts"] = clock.now - int(str(age))
        changes["click_ts"] = 0
    assert to_meta().objection(purchase(**changes), now=clock.now) == word


def test_a_page_can_be_configured_and_a_shop_has_longer(to_meta, clock) -> None:
    assert to_meta(page_url="https://shop.example/").objection(purchase(page="/thanks"), now=clock.now) == ""
    old = purchase(ts=clock.now - 30 * DAY_MS, click_ts=0)
    assert to_meta(action_source="physical_store").objection(old, now=clock.now) == ""


def test_one_event_too_old_fails_the_whole_request(to_meta, meta, clock) -> None:
    with pytest.raises(Refused, match="2804003"):
        to_meta().send([purchase(1), purchase(2, ts=clock.now - 8 * DAY_MS, click_ts=0)], deadline_s=5)
    assert meta.counted == {}


def test_a_wrong_data_set_is_about_the_destination_not_about_the_events(to_meta) -> None:
    with pytest.raises(Permanent, match="subcode 33"):
        to_meta(dataset="1").send([purchase()], deadline_s=5)


def test_a_quota_says_how_long_to_wait(to_meta, meta) -> None:
    meta.behaviour.quota_errors, meta.behaviour.retry_after_s = 1, 120.0
    with pytest.raises(QuotaExceeded) as quota:
        to_meta().send([purchase()], deadline_s=5)
    assert quota.value.retry_after_s == 120
    assert len(meta.requests) == 1


@pytest.mark.parametrize("switch", ["server_errors", "garbage", "hangs"])
def test_an_answer_that_is_missing_or_no_answer_leaves_the_matter_open(to_meta, meta, switch: str) -> None:
    setattr(meta.behaviour, switch, 1)
    with pytest.raises(Transient) as caught:
        to_meta().send([purchase()], deadline_s=0.5)
    assert not caught.value.unsent


def test_who_cannot_be_reached_cannot_have_received_anything(to_meta, meta) -> None:
    meta.stop()
    with pytest.raises(Transient) as caught:
        to_meta().send([purchase()], deadline_s=2)
    assert caught.value.unsent


def test_the_probe_asks_who_the_token_belongs_to(to_meta, meta) -> None:
    assert "valid" in to_meta().probe(deadline_s=5)
    assert [request.path for request in meta.requests] == ["/v25.0/me"]
