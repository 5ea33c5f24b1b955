"""Which conversion goes where, and the word for each one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from core.clock import DAY_MS
from tests.conftest import START_MS
from tests.uploads.events import FBCLID, GCLID, order
from uploads.decisions import MAX_EVENT_ID, Decision, consent, decide, event_id, upload_id
from uploads.states import DEAD, REASONS, SENT, SKIPPED, WAITING

TEST_ACCOUNTS = frozenset({"google:666", "meta:777"})


def decided(destination: Any, *, now: int, **changes: Any) -> Decision | None:
    mapping = destination.config.conversions[0]
    return decide(order(**changes), mapping, destination, sandbox_accounts=TEST_ACCOUNTS, now=now)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"claimed": True, "known_at": START_MS - 2 * DAY_MS}, "replayed"),
        ({"claimed": True}, ""),
        ({"status": "captured"}, "status"),
        ({"status": "refunded"}, "status"),
        ({"status": "duplicate"}, "status"),
        ({"sandbox": True}, "sandbox"),
        ({"campaign": "google:666:1"}, "sandbox"),
        ({"campaign": "meta:1:2"}, "other_account"),
        ({"campaign": ""}, ""),
        ({"confidence": 0.7}, "low_confidence"),
        ({"consents": ["yes", "no"]}, "consent_refused"),
        ({"consents": ["gpc"]}, "consent_refused"),
        ({"consents": []}, "consent_unknown"),
        ({"consents": [""]}, "consent_unknown"),
        ({"consents": [], "attributes": {"consent": "yes"}}, ""),
        ({"attributes": {"consent": "no"}}, "consent_refused"),
        ({"flagged": True}, "flagged"),
        ({"click_ts": 1_700_000_000_000}, "click_too_old"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else ",".join(value),
)
def test_each_reason_to_leave_a_conversion_out_has_its_word(
    to_google, clock, changes: dict[str, Any], word: str
) -> None:
    found = decided(to_google(), now=clock.now, **changes)
    assert found is not None
    assert found.reason == word
    assert word in {"", *SKIPPED}


@pytest.mark.parametrize(
    "changes",
    [
        {"client": "another"},
        {"type": "lead"},
        {"origin": "platform"},
        {"click_platform_ids": {}},
        {"click_platform_ids": {"msclkid": "x"}},
        {"click_platform_ids": {"gclid": "{gclid}"}},
    ],
    ids=str,
)
def test_what_is_no_concern_of_a_destination_is_not_even_entered(to_google, clock, changes: dict[str, Any]) -> None:
    assert decided(to_google(), now=clock.now, **changes) is None


def test_tenants_are_kept_apart_in_both_directions(to_google, clock) -> None:
    assert decided(to_google(client="acme"), now=clock.now) is None
    assert decided(to_google(client="acme"), now=clock.now, client="acme") is not None


def test_the_account_that_is_reported_to_must_not_be_a_test_either(to_google, clock, data_manager) -> None:
    found = decided(to_google(account="666"), now=clock.now)
    assert found is not None
    assert found.reason == "sandbox"


def test_only_clicks_of_the_accounts_that_were_named(to_google, clock) -> None:
    destination = to_google(click_accounts=["1", "2"])
    words = {
        campaign: getattr(decided(destination, now=clock.now, campaign=campaign), "reason", None)
        for campaign in ("google:2:9", "google:3:9", "")
    }
    assert words == {"google:2:9": "", "google:3:9": "other_account", "": "other_account"}


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"platform_ids": {"gclid": "own"}}, "gclid", GCLID),
        (
            {"click_platform_ids": {}, "platform_ids": {"gclid": "own"}, "confidence": 0.0, "click_ts": 0},
            "gclid",
            "own",
        ),
        ({"click_platform_ids": {"wbraid": "w", "gbraid": "g"}}, "wbraid", "w"),
        ({"confidence": 0.7, "platform_ids": {"gclid": "own"}}, "gclid", "own"),
    ],
    ids=["the click's", "its own without a click", "the braids", "its own rather than a doubtful click's"],
)
def test_the_click_id_comes_from_the_click_that_is_sure(
    to_google, clock, changes: dict[str, Any], name: str, value: str
) -> None:
    found = decided(to_google(), now=clock.now, **changes)
    assert found is not None
    assert (found.event.id_name, found.event.id_value) == (name, value)


def test_meta_wants_its_own_click_id(to_meta, clock) -> None:
    found = decided(to_meta(), now=clock.now, campaign="meta:1:2")
    assert found is not None
    assert (found.reason, found.event.id_value) == ("", FBCLID)


def test_nothing_said_is_enough_only_when_that_was_decided(to_google, clock) -> None:
    found = decided(to_google(require_consent=False), now=clock.now, consents=[])
    assert found is not None
    assert found.reason == ""
    refused = decided(to_google(require_consent=False), now=clock.now, consents=["no"])
    assert refused is not None
    assert refused.reason == "consent_refused"


def test_a_correction_has_time_to_come_first(to_google, clock) -> None:
    found = decided(to_google(wait_s=600), now=clock.now, known_at=clock.now)
    assert found is not None
    assert found.not_before == clock.now + 600_000


def test_an_event_of_the_future_waits_for_its_time(to_google, clock) -> None:
    found = decided(to_google(), now=clock.now, ts=clock.now + 5_000)
    assert found is not None
    assert found.not_before == clock.now + 5_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "o-1"),
        ({"order_id": "A-17"}, "A-17"),
        ({"order_id": "A-17", "attributes": {"event_id": "px.1"}}, "px.1"),
    ],
)
def test_the_event_id_is_what_a_pixel_would_use(changes: dict[str, Any], expected: str) -> None:
    assert event_id(order(**changes)) == expected


def test_a_long_event_id_becomes_a_hash_of_it() -> None:
    assert len(event_id(order(order_id="x" * 5_000))) <= MAX_EVENT_ID


def test_an_upload_is_one_conversion_for_one_target_of_one_destination() -> None:
    assert upload_id("a", "1", "c") == upload_id("a", "1", "c")
    assert (
        len({upload_id("a", "1", "c"), upload_id("b", "1", "c"), upload_id("a", "2", "c"), upload_id("a", "1", "d")})
        == 4
    )


def test_a_refusal_outweighs_whatever_else_was_said() -> None:
    assert consent(order(consents=["yes"], attributes={"consent": "no"})) == "no"
    assert consent(order(consents=["no"], attributes={"consent": "yes"})) == "no"


def test_the_lists_of_words_are_closed_and_disjoint_but_for_age() -> None:
    lists = [set(SKIPPED), set(WAITING), set(DEAD), set(SENT)]
    assert sum(map(len, lists)) == len(REASONS - {""}) + 1, "only too_old stands in two of them"
