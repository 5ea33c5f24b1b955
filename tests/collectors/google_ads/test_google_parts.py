"""What becomes of conversions, changes, clicks and ad groups of a Google Ads account, over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.demo.ad_account import Behaviour, CampaignSetup, Clicks
from app.demo.google_reports import AccountChange, CountedConversion, SingleClick
from app.demo.google_sandbox import GoogleSandbox, process_ca
from collectors.config import CollectorsConfig
from collectors.google_ads.changes import grouped, kind_of, summary
from collectors.google_ads.clicks import GoogleClicksSource
from collectors.google_ads.collector import remainders
from collectors.registry import build_sources
from collectors.windows import Position, Window, advance, older, plan
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339
from core.identity import derive
from core.records import Deploy, PlatformClick, Spend, Tally
from core.vendors.base import SpendRow
from core.vendors.config import AccountConfig
from core.vendors.google_ads_reports import Change
from tests.collectors.sandboxes.google_parts import budget_raised

#: 11:00 in Berlin.
NOW = parse_rfc3339("2026-11-20T10:00:00Z")
ZONE = "Europe/Berlin"
LATELY = Window(since=NOW - 4 * HOUR_MS, until=NOW)


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def google(tmp_path: Path) -> Iterator[GoogleSandbox]:
    campaigns = [CampaignSetup(id="11", name="Spring", cpc_micros=500_000), CampaignSetup(id="12", name="Max")]
    behaviour = Behaviour(report_lag_s=0, restate_share=0.0)
    with GoogleSandbox(
        tmp_path, campaigns=campaigns, timezone=ZONE, behaviour=behaviour, clock=Clock(), ca=process_ca()
    ) as sandbox:
        yield sandbox


Open = Callable[..., Any]


@pytest.fixture
def opened(google: GoogleSandbox) -> Iterator[Open]:
    """A source by its kind, with changes to the section google_ads."""
    made: list[Any] = []

    def open_one(kind: str, **section: Any) -> Any:
        account = AccountConfig(
            platform="google",
            account="1234567890",
            client="acme",
            timezone=ZONE,
            endpoint=google.endpoint,
            credentials_file=str(google.credentials_file),
        )
        config = CollectorsConfig.model_validate({"google_ads": {"clicks": {"enabled": True}, **section}})
        made.extend(build_sources(config, [account]))
        return next(source for source in reversed(made) if source.name == f"{kind}:1234567890")

    yield open_one
    for source in made:
        source.close()


def read(source: Any, window: Window = LATELY) -> list[Any]:
    fetched = source.fetch(window, now=NOW, deadline_s=10)
    assert (fetched.invalid, fetched.failed) == (0, 0), fetched.detail
    return list(fetched.records)


def test_an_account_is_read_for_clicks_only_when_that_is_asked_for() -> None:
    def names(section: dict[str, Any]) -> set[str]:
        config = CollectorsConfig.model_validate({"google_ads": section})
        sources = build_sources(config, [AccountConfig(platform="google", account="1")])
        return {source.name.partition(":")[0] for source in sources}

    assert names({}) == {"google_ads", "google_conversions", "google_changes"}
    assert names({"clicks": {"enabled": True}}) == {
        "google_ads",
        "google_conversions",
        "google_changes",
        "google_clicks",
    }
    assert names({"changes": {"enabled": False}}) == {"google_ads", "google_conversions"}
    assert names({"enabled": False}) == set()


def test_no_more_is_asked_for_than_the_scope_that_reads_campaigns(google: GoogleSandbox, opened: Open) -> None:
    for kind in ("google_ads", "google_conversions", "google_changes", "google_clicks"):
        read(opened(kind), Window(since=NOW - HOUR_MS, until=NOW))
    assert google.issuer.scopes == {"https://www.googleapis.com/auth/adwords"}


# --- conversions ------------------------------------------------------------------------------------------------------------------


def test_actions_that_mean_one_type_of_ours_are_one_tally(google: GoogleSandbox, opened: Open) -> None:
    google.reports.conversions += [
        CountedConversion(campaign="11", action="Purchase (tag)", ts=NOW, count=2.5, value=100.1),
        CountedConversion(campaign="11", action="Purchase (import)", ts=NOW, count=1.0, value=9.9),
        CountedConversion(campaign="11", action="Sign-up", ts=NOW),
    ]
    types = {"Purchase (tag)": "order", "Purchase (import)": "order"}
    tallies = {tally.name: tally for tally in read(opened("google_conversions", conversions={"types": types}))}
    order = tallies["order"]
    assert isinstance(order, Tally)
    assert (order.count, order.value_micros, order.currency) == (3.5, 110_000_000, "USD")
    assert (order.origin, order.account, order.campaign) == ("platform", "google:1234567890", "google:1234567890:11")
    assert (order.ts, order.bucket_s) == (parse_rfc3339("2026-11-20T00:00:00+01:00"), 86_400)
    assert (order.client, order.reported_as) == ("acme", "Purchase (import), Purchase (tag)")
    assert (tallies["Sign-up"].count, tallies["Sign-up"].reported_as) == (1.0, "")


# --- changes ----------------------------------------------------------------------------------------------------------------------


def test_a_budget_change_is_a_marker_of_its_campaign(google: GoogleSandbox, opened: Open) -> None:
    google.reports.changes.append(budget_raised(ts=NOW - 5 * MINUTE_MS))
    (marker,) = read(opened("google_changes"))
    assert isinstance(marker, Deploy)
    assert (marker.service, marker.change, marker.ts) == ("google:1234567890:11", "budget", NOW - 5 * MINUTE_MS)
    assert (marker.version, marker.author) == ("daily budget 50.00 to 80.00", "maria")
    assert marker.description == "google ads web client; amount_micros"


def test_no_address_is_recorded_and_no_author_where_that_is_not_wanted(google: GoogleSandbox, opened: Open) -> None:
    google.reports.changes.append(AccountChange(ts=NOW - 1, resource="AD", campaign="11", author="maria@acme.example"))
    (marker,) = read(opened("google_changes", changes={"authors": False}))
    assert marker.author == ""
    assert "@" not in repr(marker)


def test_a_bulk_upload_is_one_marker_a_minute_and_a_later_part_of_it_restates_the_marker(
    google: GoogleSandbox, opened: Open
) -> None:
    minute = NOW - 10 * MINUTE_MS
    source = opened("google_changes")
    google.reports.changes += [
        AccountChange(ts=minute + n, resource="AD_GROUP_AD", campaign="11", operation="CREATE") for n in range(400)
    ]
    (first,) = read(source)
    assert first.version == "400 x ad created"
    google.reports.changes.append(AccountChange(ts=minute + 500, resource="ASSET", campaign="11", operation="REMOVE"))
    (second,) = read(source)
    assert (second.fact_id, second.version) == (first.fact_id, "400 x ad created; asset removed")


def test_what_concerns_no_campaign_is_the_account_s(google: GoogleSandbox, opened: Open) -> None:
    google.reports.changes.append(AccountChange(ts=NOW - 1, resource="CUSTOMER_ASSET", operation="CREATE"))
    (marker,) = read(opened("google_changes"))
    assert (marker.service, marker.change, marker.version) == (
        "google:1234567890",
        "creative",
        "customer asset created",
    )


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("CAMPAIGN_BUDGET", "budget"),
        ("AD", "creative"),
        ("ASSET_SET_ASSET", "creative"),
        ("CAMPAIGN", "config"),
        ("AD_GROUP_CRITERION", "config"),
        ("UNKNOWN", "config"),
    ],
)
def test_every_change_has_a_kind(resource: str, kind: str) -> None:
    assert kind_of(resource) == kind


def test_changes_of_a_minute_are_told_in_few_words() -> None:
    def entry(resource: str, **more: Any) -> Change:
        return Change(ts=1, campaign="google:1:2", resource=resource, operation="UPDATE", **more)

    paused = entry("CAMPAIGN", before="ENABLED", after="PAUSED")
    assert summary([paused]) == "enabled to paused"
    assert summary([entry("AD_GROUP", before="ENABLED", after="PAUSED")]) == "ad group enabled to paused"
    assert summary([entry("CAMPAIGN_BUDGET", after="5000000")]) == "daily budget none to 5.00"
    many = [paused, *(entry(name) for name in ("CAMPAIGN_CRITERION", "AD_GROUP_CRITERION", "AD_GROUP", "NEW_THING"))]
    assert summary(many) == "enabled to paused; ad group changed; keyword or audience changed; 2 more"
    assert len(grouped(many)) == 1


# --- clicks -----------------------------------------------------------------------------------------------------------------------


def test_a_gclid_becomes_our_click_id_with_its_campaign_and_is_not_kept(google: GoogleSandbox, opened: Open) -> None:
    google.reports.clicks.append(
        SingleClick(gclid="Cj0KCQ-x", campaign="11", ts=NOW, ad_group="21", ad="31", keyword="shoes")
    )
    (click,) = read(opened("google_clicks"), Window(since=NOW - HOUR_MS, until=NOW))
    assert isinstance(click, PlatformClick)
    assert click.click_id == derive("gclid", b"Cj0KCQ-x")
    assert (click.campaign, click.ad_group) == ("google:1234567890:11", "google:1234567890:21")
    assert (click.creative, click.keyword) == ("google:1234567890:31", "shoes")
    assert "Cj0KCQ-x" not in repr(click)


def test_a_back_fill_asks_for_every_day_once_and_for_none_that_google_no_longer_has(opened: Open) -> None:
    source: GoogleClicksSource = opened("google_clicks")
    since = NOW - 95 * DAY_MS
    edges = list(range(since, NOW, DAY_MS))
    windows = [Window(since=start, until=min(start + DAY_MS, NOW)) for start in edges]
    days = [day for window in windows for day in source.days(window, now=NOW)]
    assert len(days) == len(set(days)) == 90
    assert (days[0], days[-1]) == (date(2026, 8, 23), date(2026, 11, 20))


def test_as_installed_the_first_read_asks_for_each_of_90_days_by_itself(google: GoogleSandbox, opened: Open) -> None:
    source: GoogleClicksSource = opened("google_clicks")
    for day in range(95):
        google.reports.clicks.append(SingleClick(gclid=f"Cj0-{day}", campaign="11", ts=NOW - day * DAY_MS, keyword=str(day)))  # fmt: skip
    position, found = Position(), []
    for window in plan(position, source.config, now=NOW):
        found += read(source, window)
        position = advance(position, window, source.config, last=window.until == NOW, now=NOW)
    for window in older(position, source.config, now=NOW):
        found += read(source, window)
    assert sorted(int(click.keyword) for click in found) == list(range(90))
    assert source._account.wire.operations_of_the_day() == 90


def test_the_day_that_is_not_over_and_the_one_before_are_read_each_time(opened: Open) -> None:
    source: GoogleClicksSource = opened("google_clicks")
    recent = Window(since=NOW - DAY_MS, until=NOW)
    assert source.days(recent, now=NOW) == [date(2026, 11, 19), date(2026, 11, 20)]
    assert ZoneInfo(ZONE) == source._account.zone


# --- ad groups --------------------------------------------------------------------------------------------------------------------


def spent(cost: int, clicks: int, *, ad_group: str = "", device: str = "mobile") -> SpendRow:
    return SpendRow(
        campaign="google:1:2", bucket_ms=0, bucket_s=3600, cost_micros=cost, currency="USD", clicks=clicks,
        impressions=10 * clicks, device=device, ad_group=ad_group, platform_conversions=clicks / 10,
    )  # fmt: skip


def test_what_no_ad_group_explains_stays_with_the_campaign() -> None:
    parts = [spent(30, 3, ad_group="a"), spent(20, 2, ad_group="b"), spent(99, 9, ad_group="a", device="desktop")]
    (rest,) = remainders([spent(70, 6)], parts)
    assert (rest.cost_micros, rest.clicks, rest.impressions, rest.platform_conversions) == (20, 1, 10, 0.1)
    (over,) = remainders([spent(40, 4)], parts)
    assert (over.cost_micros, over.clicks, over.platform_conversions) == (0, 0, 0.0)
    assert remainders([spent(40, 4)], []) == [spent(40, 4)]


def test_spend_by_ad_group_adds_up_to_the_account_s_and_restates_the_campaign_s_rows(
    google: GoogleSandbox, opened: Open
) -> None:
    at = NOW - 2 * HOUR_MS
    google.account.add_clicks(
        [
            Clicks(campaign="11", clicks=3, ad_group="21", ts=at),
            Clicks(campaign="11", clicks=2, ad_group="22", ts=at),
            Clicks(campaign="12", clicks=7, ts=at),
        ]
    )
    whole: dict[str, Spend] = {spend.fact_id: spend for spend in read(opened("google_ads"))}
    finer: dict[str, Spend] = {spend.fact_id: spend for spend in read(opened("google_ads", grain="ad_group"))}
    assert set(whole) < set(finer), "the campaigns' own rows are told again"
    assert sum(spend.clicks for spend in whole.values()) == sum(spend.clicks for spend in finer.values()) == 12
    assert sum(spend.cost_micros for spend in whole.values()) == sum(spend.cost_micros for spend in finer.values())
    by_group = {spend.ad_group: spend.clicks for spend in finer.values() if spend.clicks}
    assert by_group == {"google:1234567890:21": 3, "google:1234567890:22": 2, "": 7}


def test_spend_has_googles_clicks_impressions_and_conversions_by_the_hour_of_the_click(
    google: GoogleSandbox, opened: Open
) -> None:
    at = NOW - 3 * HOUR_MS
    google.account.add_clicks([Clicks(campaign="11", clicks=n, ad_group="21", ts=at, device=d) for n, d in ((3, "mobile"), (2, "desktop"))])  # fmt: skip
    google.reports.conversions += [
        CountedConversion(campaign="11", action="Purchase", ts=NOW, clicked=at, count=1.5, ad_group="21"),
        CountedConversion(campaign="11", action="Sign-up", ts=at, device="desktop", ad_group="21"),
        CountedConversion(campaign="11", action="Sign-up", ts=NOW, device="desktop", ad_group="21"),
    ]
    for grain in ("campaign", "ad_group"):
        rows = {row.device: row for row in read(opened("google_ads", grain=grain)) if row.clicks}
        told = {device: (row.clicks, row.impressions, row.platform_conversions) for device, row in rows.items()}
        assert told == {"mobile": (3, 120, 1.5), "desktop": (2, 80, 1.0)}, grain
    assert {row.platform_conversions for row in read(opened("google_ads", grain="ad_group")) if not row.clicks} == {0.0}


def test_operations_of_the_day_are_shown_against_what_the_project_may_make(opened: Open) -> None:
    source = opened("google_ads", daily_operations=15_000)
    assert source.quota() is None
    read(source)
    source.describe(now=NOW, deadline_s=10)
    quota = source.quota()
    assert (quota.used, quota.limit, quota.unit) == (3, 15_000, "operations in 24 h, ours")


def test_a_malformed_row_of_an_ad_group_leaves_its_money_with_the_campaign(google: GoogleSandbox, opened: Open) -> None:
    at = NOW - 2 * HOUR_MS
    google.account.add_clicks(
        [
            Clicks(campaign="11", clicks=7, ts=at),
            Clicks(campaign="12", clicks=3, ad_group="21", ts=at),
            Clicks(campaign="12", clicks=2, ad_group="22", ts=at),
        ]
    )
    source = opened("google_ads", grain="ad_group")
    google.account.behaviour.malformed_rows = 1
    fetched = source.fetch(LATELY, now=NOW, deadline_s=10)
    assert fetched.invalid == 2, "the first of either report: ad group 21, campaign 11"
    assert "soon" in fetched.detail
    assert {spend.ad_group: spend.clicks for spend in fetched.records} == {"google:1234567890:22": 2, "": 3}
