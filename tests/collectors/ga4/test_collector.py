"""The GA4 source against its sandbox: what becomes of sessions and key events, of pages, money, zones and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.demo.ad_account import Behaviour
from collectors.ga4.collector import Ga4Source
from collectors.ga4.config import Ga4Config, Ga4Connection
from collectors.versions import RECENT_MS, Versions
from collectors.windows import Window
from collectors.writing import write_changes
from core.clock import HOUR_MS, parse_rfc3339
from core.errors import Permanent, QuotaExceeded, Transient
from core.records import Tally
from tests.collectors.sandboxes.ga4 import Ga4Sandbox, Visit

#: 11:30 in Berlin.
NOW = parse_rfc3339("2026-11-20T10:30:00Z")
DAY = Window(since=parse_rfc3339("2026-11-19T23:00:00Z"), until=NOW)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Ga4Sandbox]:
    with Ga4Sandbox(
        tmp_path, timezone="Europe/Berlin", currency="EUR", clock=Clock(), behaviour=Behaviour(report_lag_s=0)
    ) as one:
        yield one


@pytest.fixture
def source(sandbox: Ga4Sandbox) -> Iterator[Ga4Source]:
    made = source_of(sandbox)
    yield made
    made.close()


def source_of(sandbox: Ga4Sandbox, *, config: Ga4Config | None = None, **changes: Any) -> Ga4Source:
    given = {
        "name": "shop",
        "client": "acme",
        "property": sandbox.property,
        "endpoint": sandbox.endpoint,
        "credentials_file": str(sandbox.issuer.credentials_file),
    }
    return Ga4Source(Ga4Connection.model_validate(given | changes), config=config or Ga4Config())


def read(source: Ga4Source, *, window: Window = DAY, now: int = NOW) -> list[Tally]:
    fetched = source.fetch(window, now=now, deadline_s=10)
    assert (fetched.invalid, fetched.failed) == (0, 0), fetched.detail
    return [record for record in fetched.records if isinstance(record, Tally)]


def test_sessions_come_by_hour_and_by_day_and_key_events_by_hour(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    sandbox.visits += [
        Visit(ts=NOW - HOUR_MS, sessions=5),
        Visit(ts=NOW, sessions=2, event="purchase", key_events=2, revenue=59.9),
    ]
    found = {(tally.name, tally.bucket_s): tally for tally in read(source) if tally.ts >= NOW - HOUR_MS}
    assert found[("session", 3600)].count == 2, "the newest hour"
    day = next(tally for tally in read(source) if tally.bucket_s == 86_400)
    assert (day.count, day.ts) == (7, parse_rfc3339("2026-11-20T00:00:00+01:00"))
    purchase = found[("purchase", 3600)]
    assert (purchase.count, purchase.value_micros, purchase.currency) == (2, 59_900_000, "EUR")
    assert purchase.ts == parse_rfc3339("2026-11-20T11:00:00+01:00")
    assert {(t.origin, t.account, t.client, t.source) for t in read(source)} == {
        ("analytics", "ga4:1234", "acme", "ga4")
    }


def test_a_campaign_is_named_as_ours_by_auto_tagging_and_by_utm_id(sandbox: Ga4Sandbox) -> None:
    sandbox.visits += [
        Visit(ts=NOW, customer="123-456-7890", campaign="11"),
        Visit(ts=NOW, utm_id="meta:1:2"),
        Visit(ts=NOW, utm_id="spring"),
        Visit(ts=NOW, utm_id="nobody-knows"),
        Visit(ts=NOW, device="smart tv"),
    ]
    found = read(source_of(sandbox, campaigns={"spring": "meta:1:3"}))
    hours = {tally.campaign: (tally.count, tally.device) for tally in found if tally.bucket_s == 3600}
    assert hours["google:1234567890:11"] == (1, "mobile")
    assert hours["meta:1:2"] == hours["meta:1:3"] == (1, "mobile")
    unnamed = {tally.device: tally.count for tally in found if not tally.campaign and tally.bucket_s == 3600}
    assert unnamed == {"mobile": 1, "other": 1}


def test_key_events_are_counted_under_our_conversion_types(sandbox: Ga4Sandbox) -> None:
    sandbox.visits += [
        Visit(ts=NOW, event="purchase", key_events=2),
        Visit(ts=NOW, event="in_store_pickup", key_events=1),
        Visit(ts=NOW, event="generate_lead", key_events=4),
    ]
    found = read(source_of(sandbox, types={"purchase": "order", "in_store_pickup": "order"}))
    counts = {tally.name: (tally.count, tally.reported_as) for tally in found if tally.name != "session"}
    assert counts == {"order": (3, "in_store_pickup, purchase"), "generate_lead": (4, "")}


def test_the_hour_that_exists_twice_is_one_bucket_of_two(sandbox: Ga4Sandbox) -> None:
    first = parse_rfc3339("2026-10-25T00:30:00Z")  # 02:30 summer time
    sandbox.visits += [Visit(ts=first, sessions=3), Visit(ts=first + HOUR_MS, sessions=4)]
    source = source_of(sandbox)
    found = read(source, window=Window(since=first, until=first + 2 * HOUR_MS))
    assert {(tally.count, tally.bucket_s) for tally in found} == {(7, 7_200), (7, 90_000)}


def test_all_pages_are_read_in_one_order(sandbox: Ga4Sandbox) -> None:
    sandbox.visits += [Visit(ts=NOW, utm_id=f"meta:1:{n}") for n in range(25)]
    source = source_of(sandbox, config=Ga4Config(page_rows=7))
    assert len([tally for tally in read(source) if tally.bucket_s == 3600]) == 25
    offsets = [request.json["offset"] for request in sandbox.requests if request.path.endswith("runReport")]
    assert offsets == ["0", *["0", "7", "14", "21"] * 2, "0"]
    assert all("orderBys" in request.json for request in sandbox.requests if request.path.endswith("runReport"))


def test_only_reading_is_asked_for(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    read(source)
    assert sandbox.issuer.scopes == {"https://www.googleapis.com/auth/analytics.readonly"}


def test_tokens_are_shown_and_the_reserve_is_kept(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    assert source.quota() is None
    sandbox.tokens_left["tokensPerHour"] = 8_030
    with pytest.raises(QuotaExceeded, match="tokens an hour are left") as caught:
        read(source)
    assert caught.value.retry_after_s == 3600
    quota = source.quota()
    assert quota is not None
    assert (quota.unit, quota.used, quota.limit) == ("tokens an hour", 40_000 - 8_014, 40_000)
    asked = len(sandbox.requests)
    with pytest.raises(QuotaExceeded):
        read(source, now=NOW + HOUR_MS // 2)
    assert len(sandbox.requests) == asked, "nobody is asked while the reserve is all that is left"
    sandbox.tokens_left["tokensPerHour"] = 40_000
    assert read(source, now=NOW + HOUR_MS) == []


def test_a_day_without_tokens_is_waited_out_until_midnight_in_california(
    source: Ga4Source, sandbox: Ga4Sandbox
) -> None:
    sandbox.tokens_left["tokensPerDay"] = 0
    with pytest.raises(QuotaExceeded, match="per day") as caught:
        read(source)
    assert caught.value.retry_after_s == 21.5 * 3600


def test_server_errors_are_not_repeated_until_the_project_is_locked_out(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    sandbox.behaviour.server_errors = 100
    for _ in range(6):
        with pytest.raises(Transient, match="INTERNAL"):
            read(source)
    asked = len(sandbox.requests)
    with pytest.raises(QuotaExceeded, match="server errors") as caught:
        read(source)
    assert (len(sandbox.requests), caught.value.retry_after_s) == (asked, 3600)


def test_a_revoked_token_is_replaced_before_the_credentials_are_blamed(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    read(source)
    sandbox.issuer.tokens.clear()
    with pytest.raises(Transient, match="UNAUTHENTICATED"):
        read(source)
    assert read(source) == []


def test_a_property_that_we_may_not_read_is_refused_by_name(sandbox: Ga4Sandbox) -> None:
    with pytest.raises(Permanent, match="sufficient permissions"):
        read(source_of(sandbox, property="999"))


def test_rows_that_cannot_be_understood_are_counted_and_nothing_is_taken_back(
    source: Ga4Source, sandbox: Ga4Sandbox
) -> None:
    sandbox.visits += [Visit(ts=NOW, utm_id=f"meta:1:{n}") for n in range(9)]

    def other(row: dict[str, Any]) -> dict[str, Any]:
        values = row["dimensionValues"]
        return {**row, "dimensionValues": [{"value": "(other)"}] * len(values)} if "meta:1:4" in str(row) else row

    sandbox.spoil = other
    fetched = source.fetch(DAY, now=NOW, deadline_s=10)
    assert (len(fetched.records), fetched.invalid) == (16, 2)
    assert "(other)" in fetched.detail
    assert fetched.whole is None


@pytest.mark.parametrize("value", ["NaN", "-1", "many"])
def test_a_count_that_is_no_count_is_invalid(source: Ga4Source, sandbox: Ga4Sandbox, value: str) -> None:
    sandbox.visits.append(Visit(ts=NOW))
    sandbox.spoil = lambda row: {**row, "metricValues": [{"value": value}]}
    fetched = source.fetch(DAY, now=NOW, deadline_s=10)
    assert (fetched.records, fetched.invalid) == ([], 2)


def test_other_columns_than_asked_for_stop_the_source(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    sandbox.visits.append(Visit(ts=NOW))
    answer = sandbox.answer

    def renamed(request: Any) -> Any:
        given = answer(request)
        if isinstance(given.body, dict) and "rows" in given.body:
            given.body["metricHeaders"] = [{"name": "engagedSessions"}]
        return given

    sandbox.answer = renamed  # type: ignore[method-assign]  # as if the vendor had renamed it
    with pytest.raises(Permanent, match="other columns"):
        read(source)


def test_a_probe_names_the_property_and_what_its_figures_lack(source: Ga4Source, sandbox: Ga4Sandbox) -> None:
    sandbox.metadata = {"subjectToThresholding": True}
    said = source.probe(now=NOW, deadline_s=10)
    assert said == "property 1234 (Europe/Berlin, EUR, subject to thresholding)"


def test_sessions_credited_to_another_campaign_are_taken_back_where_they_were(
    source: Ga4Source, sandbox: Ga4Sandbox, journal: Any, ship: Any, store: Any, clock: Any
) -> None:
    """A vendor leaves rows of nothing out: without a zero, the same sessions would count for both campaigns."""
    versions = Versions(store, clock=clock)

    def take() -> int:
        fetched = source.fetch(DAY, now=NOW, deadline_s=10)
        gone = versions.vanished(fetched.records, fetched.whole)
        written = write_changes(journal, versions, [*fetched.records, *gone])
        ship()
        clock.advance(RECENT_MS)
        return len(written)

    sandbox.visits.append(Visit(ts=NOW, sessions=5, utm_id="meta:1:1"))
    sandbox.visits.append(Visit(ts=NOW, sessions=1, utm_id="meta:1:9"))
    assert take() == 4
    sandbox.visits[0].utm_id = "meta:1:2"
    assert take() == 4, "two zeros, two new"
    assert take() == 0, "and that was all"
    rows = store.rows("SELECT campaign, count FROM tally_current WHERE bucket_s = 3600 ORDER BY campaign")
    assert [(row["campaign"], row["count"]) for row in rows] == [("meta:1:1", 0), ("meta:1:2", 5), ("meta:1:9", 1)]
    sandbox.visits.clear()
    assert take() == 0, "an empty answer takes nothing back"
