"""Conversions by action, change history, single clicks and spend by ad group: the real client against the sandbox."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.demo.ad_account import Clicks
from app.demo.google_reports import AccountChange, CountedConversion, SingleClick
from app.demo.google_sandbox import GoogleSandbox
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from core.errors import Permanent
from core.vendors.config import AccountConfig
from core.vendors.google_ads import GoogleAdsAccount
from core.vendors.google_ads_reports import CHANGES_REACH_MS, changes, clicks, conversions
from tests.collectors.sandboxes.google_parts import budget_raised

ZONE = "America/New_York"


@pytest.fixture
def client(google: GoogleSandbox) -> GoogleAdsAccount:
    google._zone = ZoneInfo(ZONE)
    return GoogleAdsAccount(
        AccountConfig(
            platform="google",
            account="1234567890",
            endpoint=google.endpoint,
            credentials_file=str(google.credentials_file),
            timezone=ZONE,
        ),
        clock=google.account.clock,
    )


def patient() -> float:
    return 10.0


def read_changes(client: GoogleAdsAccount, *, since: int, until: int, **more: Any) -> Any:
    return changes(client, since_ms=since, until_ms=until, left_s=patient, **more)


def test_conversions_come_by_action_and_by_the_account_s_own_day(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    # 02:30 UTC is still the day before in New York.
    at = parse_rfc3339("2026-11-19T02:30:00Z")
    google.account.clock.now = at + DAY_MS
    google.reports.conversions += [
        CountedConversion(campaign="11", action="Purchase", ts=at, count=0.5, value=29.95),
        CountedConversion(campaign="11", action="Purchase", ts=at + HOUR_MS, count=1.0, value=10.0),
        CountedConversion(campaign="11", action="Sign-up", ts=at),
    ]
    report = conversions(client, since_ms=at, until_ms=at + HOUR_MS, deadline_s=10)
    assert {(row.action, row.count, row.value) for row in report.rows} == {
        ("Purchase", 1.5, 39.95),
        ("Sign-up", 1.0, 0.0),
    }
    (start,) = {row.bucket_ms for row in report.rows}
    assert start == parse_rfc3339("2026-11-18T00:00:00-05:00")
    assert {row.bucket_s for row in report.rows} == {86_400}
    assert {row.campaign for row in report.rows} == {"google:1234567890:11"}


def test_a_day_on_which_the_clock_is_set_back_has_25_hours(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    at = parse_rfc3339("2026-11-01T12:00:00Z")
    google.account.clock.now = at + DAY_MS
    google.reports.conversions.append(CountedConversion(campaign="11", action="Purchase", ts=at))
    (row,) = conversions(client, since_ms=at, until_ms=at + 1, deadline_s=10).rows
    assert row.bucket_s == 25 * 3600


def test_a_change_tells_when_who_through_what_and_from_what_to_what(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    now = google.account.clock()
    google.reports.changes += [
        budget_raised(ts=now - 5 * MINUTE_MS),
        AccountChange(
            ts=now - 4 * MINUTE_MS,
            resource="CAMPAIGN",
            campaign="12",
            fields=["status"],
            client="GOOGLE_ADS_API",
            old={"status": "ENABLED"},
            new={"status": "PAUSED"},
        ),
        AccountChange(ts=now - 3 * MINUTE_MS, resource="AD_GROUP_AD", campaign="11", operation="CREATE"),
    ]
    budget, status, ad = read_changes(client, since=now - HOUR_MS, until=now).rows
    assert (budget.campaign, budget.before, budget.after) == ("google:1234567890:11", "50000000", "80000000")
    assert (budget.ts, budget.author, budget.fields) == (now - 5 * MINUTE_MS, "maria", ("amount_micros",))
    assert (status.before, status.after, status.client) == ("ENABLED", "PAUSED", "GOOGLE_ADS_API")
    assert (ad.resource, ad.operation, ad.before, ad.after) == ("AD_GROUP_AD", "CREATE", "", "")


def test_more_changes_than_one_answer_holds_are_all_read_once(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    now = google.account.clock()
    # Three share each instant, so every cut of seven falls between equals.
    google.reports.changes += [
        AccountChange(ts=now - HOUR_MS + (n // 3) * 1000, resource="AD", campaign=str(n)) for n in range(20)
    ]
    report = read_changes(client, since=now - 2 * HOUR_MS, until=now, limit=7)
    assert sorted(int(row.campaign.rpartition(":")[2]) for row in report.rows if row.campaign) == list(range(20))
    assert (len(report.rows), report.invalid) == (20, 0)


def test_an_instant_that_fills_a_whole_answer_is_told_instead_of_going_round(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    now = google.account.clock()
    google.reports.changes += [AccountChange(ts=now - HOUR_MS, resource="AD", campaign=str(n + 1)) for n in range(9)]
    report = read_changes(client, since=now - 2 * HOUR_MS, until=now, limit=4)
    assert (len(report.rows), report.invalid) == (4, 1)
    assert "more than 4 changes" in report.detail


def test_changes_reach_as_far_as_google_keeps_them_and_no_further(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    now = google.account.clock()
    assert read_changes(client, since=now - CHANGES_REACH_MS, until=now).rows == []
    with pytest.raises(Permanent, match="START_DATE_TOO_OLD"):
        read_changes(client, since=now - CHANGES_REACH_MS - 2 * HOUR_MS, until=now)


def test_single_clicks_of_a_day_carry_their_campaign(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    at = parse_rfc3339("2026-11-19T15:00:00Z")
    google.account.clock.now = at + DAY_MS
    google.reports.clicks += [
        SingleClick(gclid="Cj0-A", campaign="11", ts=at, ad_group="21", ad="31", keyword="red shoes"),
        SingleClick(gclid="Cj0-B", campaign="12", ts=at),
        SingleClick(gclid="", campaign="12", ts=at),
        SingleClick(gclid="Cj0-C", campaign="12", ts=at + DAY_MS),
    ]
    first, second = clicks(client, day=date(2026, 11, 19), deadline_s=10).rows
    assert (first.gclid, first.campaign, first.ad_group) == ("Cj0-A", "google:1234567890:11", "google:1234567890:21")
    assert (first.creative, first.keyword) == ("google:1234567890:31", "red shoes")
    assert (second.gclid, second.ad_group, second.creative) == ("Cj0-B", "", "")
    assert (first.bucket_ms, first.bucket_s) == (parse_rfc3339("2026-11-19T00:00:00-05:00"), 86_400)


def test_clicks_of_more_than_90_days_ago_are_refused_by_name(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    with pytest.raises(Permanent, match="DATE_TOO_OLD"):
        clicks(client, day=date(2026, 1, 1), deadline_s=10)


def test_a_row_without_its_campaign_is_counted_and_the_others_are_kept(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    at = parse_rfc3339("2026-11-19T15:00:00Z")
    google.account.clock.now = at + DAY_MS
    google.reports.clicks += [SingleClick(gclid="a", campaign="0", ts=at), SingleClick(gclid="b", campaign="12", ts=at)]
    report = clicks(client, day=date(2026, 11, 19), deadline_s=10)
    assert ([row.gclid for row in report.rows], report.invalid) == (["b"], 1)
    assert "campaign.id" in report.detail


def test_spend_by_ad_group_leaves_out_campaigns_that_have_none(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    ts = google.account.clock()
    google.account.add_clicks(
        [
            Clicks(campaign="11", clicks=3, ad_group="21", ts=ts),
            Clicks(campaign="11", clicks=2, ad_group="22", ts=ts),
            Clicks(campaign="12", clicks=7, ts=ts),
        ]
    )
    google.account.clock.now = ts + 4 * HOUR_MS
    rows = client.ad_group_spend(ts - HOUR_MS, ts + HOUR_MS, deadline_s=10).rows
    assert {(row.ad_group, row.clicks) for row in rows} == {("google:1234567890:21", 3), ("google:1234567890:22", 2)}
    assert {row.clicks for row in client.spend(ts - HOUR_MS, ts + HOUR_MS, deadline_s=10).rows} == {5, 7}


def test_operations_are_counted_over_24_hours(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    client.campaigns(deadline_s=10)
    assert client.wire.operations_of_the_day() == 2, "labels and campaigns"
    google.account.clock.now += DAY_MS - 1
    assert client.wire.operations_of_the_day() == 2
    google.account.clock.now += 2
    assert client.wire.operations_of_the_day() == 0


def test_a_rotated_key_is_used_from_the_next_call_on(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    good = google.credentials_file.read_bytes()
    client.campaigns(deadline_s=10)
    google.credentials_file.write_text("{}")
    with pytest.raises(Permanent, match="credentials_file"):
        client.campaigns(deadline_s=10)
    google.credentials_file.write_bytes(good)
    assert len(client.campaigns(deadline_s=10)) == 2
