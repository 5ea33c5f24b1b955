"""One suite over every platform client: what base.AdPlatform promises holds for each, over the vendor's own wire protocol."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from app.demo.ad_account import CampaignSetup, Clicks
from app.demo.google_sandbox import GoogleSandbox
from app.demo.meta_sandbox import MetaSandbox
from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, QuotaExceeded, Transient
from core.vendors.base import AdPlatform
from core.vendors.config import AccountConfig
from core.vendors.registry import CLIENTS, open_account

Sandbox = GoogleSandbox | MetaSandbox


@pytest.fixture(params=sorted(CLIENTS))
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    found: Sandbox = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def connect(sandbox: Sandbox) -> Iterator[Callable[..., AdPlatform]]:
    opened: list[AdPlatform] = []

    def open_one(**changes: object) -> AdPlatform:
        values = {
            "platform": sandbox.account.platform,
            "account": sandbox.account.account,
            "endpoint": sandbox.endpoint,
            "credentials_file": str(sandbox.credentials_file),
        }
        account = open_account(AccountConfig.model_validate(values | changes))
        assert account is not None
        opened.append(account)
        return account

    yield open_one
    for account in opened:
        account.close()


@pytest.fixture
def client(connect: Callable[..., AdPlatform]) -> AdPlatform:
    return connect()


def qualified(sandbox: Sandbox, identifier: str) -> str:
    return sandbox.account.qualified(identifier)


def test_campaigns_are_listed_with_state_budget_and_labels(client: AdPlatform, sandbox: Sandbox) -> None:
    states = {state.campaign: state for state in client.campaigns(deadline_s=10)}
    assert set(states) == {qualified(sandbox, "11"), qualified(sandbox, "12")}, "removed ones are left out"
    spring = states[qualified(sandbox, "11")]
    assert (spring.name, spring.status, spring.labels) == ("Spring", "enabled", ("core",))
    assert (spring.daily_budget_micros, spring.currency) == (100_000_000, "USD")


def test_a_pause_is_read_back_and_ends_delivery(client: AdPlatform, sandbox: Sandbox) -> None:
    campaign = qualified(sandbox, "11")
    client.set_status(campaign, "paused", deadline_s=10)
    client.set_status(campaign, "paused", deadline_s=10)
    assert client.campaign(campaign, deadline_s=10).status == "paused"
    refused = sandbox.account.add_clicks([Clicks(campaign=campaign, clicks=5)])
    assert (refused.accepted, refused.refused_campaigns) == (0, [campaign])
    client.set_status(campaign, "enabled", deadline_s=10)
    assert client.campaign(campaign, deadline_s=10).status == "enabled"
    assert sandbox.account.add_clicks([Clicks(campaign=campaign, clicks=5)]).accepted == 5


def test_spend_shows_late_by_hour_and_is_restated_once(client: AdPlatform, sandbox: Sandbox) -> None:
    clock = sandbox.account.clock
    happened = clock()
    campaign = qualified(sandbox, "12")
    sandbox.account.add_clicks([Clicks(campaign=campaign, clicks=1000, device="mobile", ts=happened)])
    window = (happened - DAY_MS, happened + DAY_MS)
    assert client.spend(*window, deadline_s=10).rows == [], "nothing before the lag"

    clock.now = happened + 4 * HOUR_MS
    (row,) = client.spend(*window, deadline_s=10).rows
    assert (row.campaign, row.clicks, row.cost_micros, row.currency) == (campaign, 1000, 800_000_000, "USD")
    assert row.bucket_ms == happened // HOUR_MS * HOUR_MS
    assert row.bucket_s == 3600

    clock.now = happened + 26 * HOUR_MS
    (restated,) = client.spend(*window, deadline_s=10).rows
    assert restated.cost_micros != row.cost_micros
    assert abs(restated.cost_micros / row.cost_micros - 1) <= 0.05
    clock.now += 40 * DAY_MS
    assert client.spend(*window, deadline_s=10).rows == [restated]


def test_all_pages_are_read(client: AdPlatform, sandbox: Sandbox) -> None:
    for number in range(100, 125):
        sandbox.account.put(CampaignSetup(id=str(number), name=f"Campaign {number}"))
    sandbox.account.behaviour.page_size = 7
    assert len(client.campaigns(deadline_s=10)) == 27


def test_hours_are_the_accounts_own(connect: Callable[..., AdPlatform], sandbox: Sandbox) -> None:
    """An account in another zone reports local days and hours; the row's bucket is the instant they mean."""
    from zoneinfo import ZoneInfo

    sandbox._zone = ZoneInfo("Asia/Kolkata")
    clock = sandbox.account.clock
    happened = clock() // HOUR_MS * HOUR_MS
    sandbox.account.add_clicks([Clicks(campaign="12", clicks=3, ts=happened)])
    clock.now = happened + 4 * HOUR_MS
    client = connect(timezone="Asia/Kolkata")
    (row,) = client.spend(happened, happened + HOUR_MS, deadline_s=10).rows
    # Half-hour zones: the local hour that holds the click starts half an hour off ours.
    assert abs(row.bucket_ms - happened) == HOUR_MS // 2


def test_the_hour_that_exists_twice_keeps_the_money_of_both(
    connect: Callable[..., AdPlatform], sandbox: Sandbox
) -> None:
    from zoneinfo import ZoneInfo

    sandbox._zone = ZoneInfo("Europe/Berlin")
    first = 1_792_886_400_000  # 2026-10-25T00:00:00Z: two o'clock in Berlin, and an hour later two o'clock again
    sandbox.account.behaviour.restate_share = 0.0
    sandbox.account.clock.now = first
    sandbox.account.add_clicks(
        [Clicks(campaign="12", clicks=3, ts=first + at) for at in (-HOUR_MS, 0, HOUR_MS, 2 * HOUR_MS)]
    )
    sandbox.account.clock.now = first + 12 * HOUR_MS
    rows = connect(timezone="Europe/Berlin").spend(first - HOUR_MS, first + 3 * HOUR_MS, deadline_s=10).rows
    found = sorted((row.bucket_ms, row.bucket_s, row.clicks) for row in rows)
    assert found == [
        (first - HOUR_MS, 3600, 3),
        (first, 7200, 6),
        (first + 2 * HOUR_MS, 3600, 3),
    ]


def test_a_malformed_row_of_spend_stops_no_other(client: AdPlatform, sandbox: Sandbox) -> None:
    clock = sandbox.account.clock
    happened = clock()
    sandbox.account.add_clicks(
        [Clicks(campaign="12", clicks=number, ts=happened - number * HOUR_MS) for number in (1, 2, 3)]
    )
    clock.now = happened + 4 * HOUR_MS
    sandbox.account.behaviour.malformed_rows = 1
    report = client.spend(happened - DAY_MS, happened, deadline_s=10)
    assert (len(report.rows), report.invalid) == (2, 1)
    assert "soon" in report.detail


def test_quota_is_told_apart_with_its_wait(client: AdPlatform, sandbox: Sandbox) -> None:
    sandbox.account.behaviour.quota_errors = 10
    sandbox.account.behaviour.retry_after_s = 120
    with pytest.raises(QuotaExceeded) as caught:
        client.campaigns(deadline_s=2)
    assert caught.value.retry_after_s == 120


def test_a_server_error_is_transient(client: AdPlatform, sandbox: Sandbox) -> None:
    sandbox.account.behaviour.server_errors = 10
    with pytest.raises(Transient):
        client.campaigns(deadline_s=2)


def test_an_outage_is_transient_and_within_the_deadline(client: AdPlatform, sandbox: Sandbox) -> None:
    sandbox.account.behaviour.outage = True
    started = time.monotonic()
    with pytest.raises(Transient):
        client.campaigns(deadline_s=2)
    assert time.monotonic() - started < 4


def test_an_unreachable_platform_is_transient(client: AdPlatform, sandbox: Sandbox) -> None:
    sandbox.stop()
    with pytest.raises(Transient):
        client.campaigns(deadline_s=2)


def test_wrong_credentials_are_permanent_and_do_not_leak(
    connect: Callable[..., AdPlatform], sandbox: Sandbox, tmp_path: Path
) -> None:
    if isinstance(sandbox, MetaSandbox):
        secret = "EAABwrongtoken"
        wrong = tmp_path / "wrong"
        wrong.write_text(secret)
    else:
        content = msgspec.json.decode(sandbox.credentials_file.read_bytes(), type=dict[str, str])
        with GoogleSandbox(tmp_path / "other") as other:
            stolen = msgspec.json.decode(other.credentials_file.read_bytes(), type=dict[str, str])
        secret = stolen["private_key"].splitlines()[3]
        wrong = tmp_path / "wrong"
        wrong.write_bytes(msgspec.json.encode(content | {"private_key": stolen["private_key"]}))
    with pytest.raises(Permanent) as caught:
        connect(credentials_file=str(wrong)).campaigns(deadline_s=10)
    assert secret not in str(caught.value)


def test_a_missing_credentials_file_is_permanent_and_names_it(connect: Callable[..., AdPlatform]) -> None:
    with pytest.raises(Permanent, match="nowhere"):
        connect(credentials_file="nowhere/key").campaigns(deadline_s=5)


@pytest.mark.parametrize("campaign", ["11", "other:1:11", "{platform}:999:11", "{platform}:{account}:x"])
def test_another_accounts_or_an_unqualified_campaign_is_never_touched(
    client: AdPlatform, sandbox: Sandbox, campaign: str
) -> None:
    wrong = campaign.format(platform=client.platform, account=client.account)
    with pytest.raises(Permanent):
        client.set_status(wrong, "paused", deadline_s=5)
    assert sandbox.account.mutations() == []


def test_an_unknown_campaign_is_permanent(client: AdPlatform, sandbox: Sandbox) -> None:
    for act in (
        lambda: client.set_status(qualified(sandbox, "404"), "paused", deadline_s=5),
        lambda: client.campaign(qualified(sandbox, "404"), deadline_s=5),
    ):
        with pytest.raises(Permanent):
            act()


def test_a_platform_without_a_client_opens_to_none() -> None:
    assert open_account(AccountConfig(platform="microsoft", account="1")) is None
    assert open_account(AccountConfig(platform="tiktok", account="1")) is None
