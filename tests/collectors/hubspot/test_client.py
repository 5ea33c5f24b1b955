"""The limits of HubSpot's API, kept and met."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.bearer_api import Deadline
from collectors.hubspot.client import HubspotClient, Pace, daily_quota
from collectors.hubspot.config import HubspotConnection
from core.clock import DAY_MS
from core.errors import Permanent, QuotaExceeded
from tests.collectors.sandboxes.base import Answer, Request
from tests.collectors.sandboxes.hubspot import HubspotSandbox


def soon() -> Deadline:
    return Deadline("hubspot:sales", 20)


@pytest.fixture
def client(hubspot: HubspotSandbox) -> Iterator[HubspotClient]:
    client = make(hubspot, searches_per_second=1_000)
    yield client
    client.close()


def make(hubspot: HubspotSandbox, *, searches_per_second: float) -> HubspotClient:
    connection = HubspotConnection(
        name="sales", currency="EUR", endpoint=hubspot.endpoint, credentials_file=str(hubspot.credentials_file)
    )
    return HubspotClient(connection, source="hubspot:sales", searches_per_second=searches_per_second)


def everything(client: HubspotClient, clock: Any) -> list[str]:
    rows = client.touched("contacts", 0, clock.now + 1, properties=["email"], deadline=soon())
    return [item.id for item in rows.items]


def test_more_results_than_one_query_has_are_read_each_once(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    hubspot.max_results = 1_000
    made = [hubspot.contact() for _ in range(1_450)]
    found = everything(client, clock)
    assert len(found) == 1_450
    assert set(found) == set(made)
    assert len(hubspot.requests) == 8


def test_an_object_modified_while_pages_are_read_loses_no_other(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    made = sorted((hubspot.contact(ts=clock.now - DAY_MS) for _ in range(450)), key=int)
    for identifier in made:
        hubspot.change("contacts", identifier)
    answer = hubspot.answer

    def answering(request: Request) -> Answer:
        # Between two pages those of the first leave the span: a cursor that counts rows would skip as many.
        said = answer(request)
        for identifier in made[:100]:
            hubspot.change("contacts", identifier, ts=clock.now + 60_000)
        return said

    hubspot.answer = answering  # type: ignore[method-assign]
    rows = client.touched("contacts", clock.now - 1000, clock.now + 1, properties=["email"], deadline=soon())
    assert [item.id for item in rows.items] == made


def test_a_span_of_the_past_has_what_began_and_what_changed_in_it(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    began, changed, other = (hubspot.contact(ts=clock.now - days * DAY_MS) for days in (5, 50, 50))
    hubspot.change("contacts", began)
    hubspot.change("contacts", changed, ts=clock.now - 5 * DAY_MS)
    since, until = clock.now - 6 * DAY_MS, clock.now - 4 * DAY_MS
    rows = client.touched("contacts", since, until, properties=[], deadline=soon())
    assert {item.id for item in rows.items} == {began, changed}
    assert other not in {item.id for item in rows.items}


def test_the_span_is_closed_below_and_open_above(hubspot: HubspotSandbox, client: HubspotClient, clock: Any) -> None:
    first = hubspot.contact(ts=clock.now - 1000)
    hubspot.contact(ts=clock.now)
    rows = client.touched("contacts", clock.now - 1000, clock.now, properties=[], deadline=soon())
    assert [item.id for item in rows.items] == [first]


def test_searches_are_kept_apart_by_the_pace() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        now[0] += seconds

    pace = Pace(4, monotonic=lambda: now[0], sleep=sleep)
    for _ in range(3):
        pace.wait()
    now[0] += 10
    pace.wait()
    pace.wait()
    assert slept == [0.25, 0.25, 0.25], "the first after a pause does not wait"


def test_at_the_default_pace_the_portals_limit_is_never_met(hubspot: HubspotSandbox, clock: Any) -> None:
    hubspot.limits_searches = True
    for _ in range(1_100):
        hubspot.contact()
    client = make(hubspot, searches_per_second=4)
    assert len(everything(client, clock)) == 1_100
    client.close()
    assert len(hubspot.requests) == 6, "no search was refused and asked again"


def test_a_refused_search_is_asked_again_a_second_later(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    hubspot.contact()
    hubspot.searches_to_refuse = 1
    assert len(everything(client, clock)) == 1
    assert len(hubspot.requests) == 2


@pytest.mark.parametrize(
    ("policy", "message", "wait_s"),
    [
        ("SECONDLY", "You have reached your secondly limit.", 1.0),
        ("", "You have reached your secondly limit.", 1.0),
        ("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.", 10.0),
        ("DAILY", "You have reached your daily limit.", 3600.0),
        ("OTHER", "Slow down.", None),
    ],
)
def test_each_budget_has_its_own_wait(
    hubspot: HubspotSandbox, client: HubspotClient, policy: str, message: str, wait_s: float | None
) -> None:
    body = {"status": "error", "message": message, "policyName": policy}
    hubspot.answer = lambda _request: Answer(status=429, body=body)  # type: ignore[method-assign]
    with pytest.raises(QuotaExceeded) as error:
        client.try_search("contacts", deadline=Deadline("hubspot:sales", 0.5))
    assert error.value.retry_after_s == wait_s


def test_what_is_gone_is_left_out_of_a_batch(hubspot: HubspotSandbox, client: HubspotClient) -> None:
    kept = [hubspot.contact() for _ in range(150)]
    rows = client.by_id("contacts", [*kept, "7", kept[0]], properties=["email"], deadline=soon())
    assert [item.id for item in rows.items] == kept
    assert len(hubspot.requests) == 2, "a hundred to a batch, none asked for twice"


def test_the_days_calls_are_told_by_what_is_no_search(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    everything(client, clock)
    assert client.quota is None
    client.by_id("contacts", [hubspot.contact()], properties=[], deadline=soon())
    assert client.quota is not None
    assert (client.quota.used, client.quota.limit, client.quota.unit) == (2, 250_000, "calls a day")
    everything(client, clock)
    assert client.quota.used == 2, "a search does not make it forgotten"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hubspot-ratelimit-daily": "5"},
        {"x-hubspot-ratelimit-daily": "a", "x-hubspot-ratelimit-daily-remaining": "1"},
    ],
)
def test_headers_without_a_daily_budget_tell_none(headers: dict[str, str]) -> None:
    assert daily_quota(headers) is None


def test_a_search_that_does_not_move_on_is_an_error_and_no_endless_loop(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any
) -> None:
    same = {"results": [{"id": "7", "properties": {}}] * 200}
    hubspot.answer = lambda _request: Answer(body=same)  # type: ignore[method-assign]
    with pytest.raises(Permanent, match="no higher ID"):
        everything(client, clock)


def test_a_missing_scope_and_a_wrong_token_are_told_apart(
    hubspot: HubspotSandbox, client: HubspotClient, clock: Any, tmp_path: Path
) -> None:
    hubspot.scopes = {"deals"}
    with pytest.raises(Permanent, match="lacks a scope: This app hasn't been granted"):
        everything(client, clock)
    hubspot.credentials_file.write_text("pat-eu1-wrongwrong")
    with pytest.raises(Permanent, match="the access token is not accepted") as error:
        everything(client, clock)
    assert "wrongwrong" not in str(error.value)
