"""Google's Data Manager API: the real client against the sandbox, over loopback."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import structs

from core.clock import DAY_MS
from core.errors import Permanent, QuotaExceeded, Transient
from tests.uploads.events import CLICK_TS, GCLID, event
from uploads.base import Refused
from uploads.google_data_manager.answers import ErrorCount, ErrorInfo, PerDestination, outcome_of


def test_an_event_carries_what_the_documentation_asks_for(to_google, data_manager) -> None:
    receipt = to_google(login_account="99").send([event(1), event(2, origin="crm")], deadline_s=5)
    assert receipt.request_id
    body = data_manager.requests[-1].json
    assert body["destinations"] == [
        {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "99"},
            "productDestinationId": "7001",
        }
    ]
    first, second = body["events"]
    assert first == {
        "transactionId": "o-1",
        "eventTimestamp": "2026-09-21T14:12:20.000Z",
        "adIdentifiers": {"gclid": GCLID},
        "eventSource": "WEB",
        "currency": "EUR",
        "conversionValue": 59.9,
        "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
    }
    assert second["eventSource"] == "OTHER"
    assert len(data_manager.counted) == 2


def test_hashed_contacts_go_out_only_when_that_is_wanted(to_google, data_manager) -> None:
    to_google(send_contacts=True).send([event(phone_sha256="f" * 64)], deadline_s=5)
    (sent,) = data_manager.requests[-1].json["events"]
    assert sent["userData"] == {"userIdentifiers": [{"emailAddress": "e" * 64}, {"phoneNumber": "f" * 64}]}


def test_consent_that_nobody_gave_is_not_claimed(to_google, data_manager) -> None:
    to_google().send([event(consents=[])], deadline_s=5)
    (sent,) = data_manager.requests[-1].json["events"]
    assert "consent" not in sent


def test_a_conversion_before_its_click_is_reported_with_the_clicks_time(to_google, data_manager) -> None:
    to_google().send([event(ts=CLICK_TS - 500)], deadline_s=5)
    (sent,) = data_manager.requests[-1].json["events"]
    assert sent["eventTimestamp"] == "2026-09-21T13:13:20.000Z"


def test_the_token_is_asked_for_once_with_the_narrowest_scope_and_never_stands_in_a_url(
    to_google, data_manager
) -> None:
    destination = to_google()
    destination.send([event(1)], deadline_s=5)
    destination.send([event(2)], deadline_s=5)
    assert [request.path for request in data_manager.requests].count("/token") == 1
    assert not any("token" in pair for request in data_manager.requests for pair in request.query)


def test_a_revoked_token_is_renewed_and_a_refused_account_is_permanent(to_google, data_manager) -> None:
    destination = to_google()
    destination.send([event(1)], deadline_s=5)
    data_manager.revoke_tokens()
    with pytest.raises(Transient):
        destination.send([event(2)], deadline_s=5)
    destination.send([event(2)], deadline_s=5)
    data_manager.write_credentials(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(Permanent, match="credentials were refused"):
        destination.send([event(3)], deadline_s=5)
    data_manager.write_credentials()
    destination.send([event(3)], deadline_s=5)
    assert len(data_manager.counted) == 3


def test_an_invalid_event_is_named_and_nothing_of_the_request_is_taken(to_google, data_manager) -> None:
    with pytest.raises(Refused) as refused:
        to_google().send([event(1), event(2, currency="EURO"), event(3)], deadline_s=5)
    assert list(refused.value.events) == [1]
    assert "INVALID_CURRENCY_CODE" in refused.value.events[1]
    assert data_manager.counted == {}


def test_a_wrong_conversion_action_is_about_the_destination_not_about_the_events(to_google, data_manager) -> None:
    with pytest.raises(Permanent, match="INVALID_CONVERSION_ACTION_ID"):
        to_google().send([event(target="9999")], deadline_s=5)


def test_a_quota_says_how_long_to_wait(to_google, data_manager) -> None:
    data_manager.behaviour.quota_errors, data_manager.behaviour.retry_after_s = 1, 40.0
    with pytest.raises(QuotaExceeded) as quota:
        to_google().send([event()], deadline_s=5)
    assert quota.value.retry_after_s == 40
    assert len(data_manager.requests) == 2, "one call for the token, one for the events: no repetition behind our back"


def test_a_wait_may_be_announced_as_a_date(to_google, data_manager, monkeypatch) -> None:
    data_manager.behaviour.quota_errors = 1
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    answer = data_manager.quota_answer
    dated = lambda request: structs.replace(answer(request), headers={"retry-after": at})  # noqa: E731 - one line of a test
    monkeypatch.setattr(data_manager, "quota_answer", dated)
    with pytest.raises(QuotaExceeded) as quota:
        to_google().send([event()], deadline_s=5)
    assert quota.value.retry_after_s is not None
    assert 60 < quota.value.retry_after_s <= 90


@pytest.mark.parametrize("switch", ["server_errors", "garbage", "hangs"])
def test_an_answer_that_is_missing_or_no_answer_leaves_the_matter_open(to_google, data_manager, switch: str) -> None:
    setattr(data_manager.behaviour, switch, 1)
    with pytest.raises(Transient) as caught:
        to_google().send([event()], deadline_s=0.5)
    assert not caught.value.unsent


def test_who_cannot_be_reached_cannot_have_received_anything(to_google, data_manager) -> None:
    with pytest.raises(Transient) as refused:
        to_google(endpoint="http://127.0.0.1:9").send([event()], deadline_s=2)
    assert refused.value.unsent
    data_manager.stop()
    with pytest.raises(Transient) as no_token:
        to_google().send([event()], deadline_s=2)
    assert no_token.value.unsent


def test_what_became_of_a_request_is_told_when_it_is_through(to_google, data_manager) -> None:
    destination = to_google()
    data_manager.slowness = 1
    data_manager.bad = {"o-2": "INVALID_GCLID"}
    request = destination.send([event(1), event(2)], deadline_s=5).request_id
    assert destination.outcome(request, deadline_s=5) is None
    outcome = destination.outcome(request, deadline_s=5)
    assert outcome is not None
    assert (outcome.failures, outcome.there, outcome.failed_all) == ({"INVALID_GCLID": 1}, 0, False)
    again = destination.send([event(1)], deadline_s=5).request_id
    destination.outcome(again, deadline_s=5)
    repeated = destination.outcome(again, deadline_s=5)
    assert repeated is not None
    assert (repeated.failures, repeated.there) == ({}, 1)


def test_a_request_that_the_platform_does_not_know_is_refused(to_google) -> None:
    with pytest.raises(Refused):
        to_google().outcome("nonsense", deadline_s=5)


@pytest.mark.parametrize(
    ("status", "counts", "expected"),
    [
        ("PROCESSING", {}, None),
        ("REQUEST_STATUS_UNKNOWN", {}, None),
        ("SUCCESS", {}, ({}, 0, False, False)),
        ("FAILED", {"PROCESSING_ERROR_REASON_DUPLICATE_GCLID": 3}, ({}, 3, False, True)),
        ("FAILED", {"PROCESSING_ERROR_REASON_INTERNAL_ERROR": 3}, ({"INTERNAL_ERROR": 3}, 0, True, True)),
        ("FAILURE", {}, ({"UNSPECIFIED": 1}, 0, False, True)),
        (
            "PARTIAL_SUCCESS",
            {"PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER": 1, "PROCESSING_ERROR_REASON_INTERNAL_ERROR": 1},
            ({"PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER": 1, "INTERNAL_ERROR": 1}, 0, False, False),
        ),
    ],
)  # fmt: skip
def test_a_status_is_read_as_documented(
    status: str, counts: dict[str, int], expected: tuple[object, ...] | None
) -> None:
    info = ErrorInfo(error_counts=[ErrorCount(reason=reason, record_count=str(n)) for reason, n in counts.items()])
    outcome = outcome_of(PerDestination(request_status=status, error_info=info))
    found = outcome and (outcome.failures, outcome.there, outcome.retryable, outcome.failed_all)
    assert found == expected


def test_clicks_and_conversions_beyond_googles_window_are_objected_to(to_google, clock) -> None:
    destination = to_google(click_window_days=30)
    now = clock.now
    assert destination.objection(event(), now=now) == ""
    assert destination.objection(event(click_ts=now - 31 * DAY_MS), now=now) == "click_too_old"
    assert destination.objection(event(click_ts=0, ts=now - 31 * DAY_MS), now=now) == "too_old"


def test_the_probe_signs_in_and_has_an_event_checked_without_reporting_it(to_google, data_manager) -> None:
    assert "7001" in to_google().probe(deadline_s=5)
    assert data_manager.requests[-1].json["validateOnly"] is True
    assert data_manager.counted == {}
    with pytest.raises(Permanent):
        to_google(conversions=[{"type": "order", "target": "9999"}]).probe(deadline_s=5)
