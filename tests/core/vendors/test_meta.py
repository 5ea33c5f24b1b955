from __future__ import annotations

import httpx
import pytest

from app.demo.ad_account import Clicks
from app.demo.meta_sandbox import MetaSandbox
from core.clock import HOUR_MS
from core.errors import Permanent, SourceError
from core.vendors.config import AccountConfig
from core.vendors.meta import MetaAccount
from core.vendors.meta_graph import regain_access_s


def account(meta: MetaSandbox, **changes: object) -> MetaAccount:
    values = {
        "platform": "meta",
        "account": "act_2345678901",
        "endpoint": meta.endpoint,
        "credentials_file": str(meta.credentials_file),
    }
    return MetaAccount(AccountConfig.model_validate(values | changes))


def test_the_act_prefix_is_not_part_of_the_account(meta: MetaSandbox) -> None:
    assert {state.campaign for state in account(meta).campaigns(deadline_s=5)} == {
        "meta:2345678901:11",
        "meta:2345678901:12",
    }


def test_devices_of_one_hour_are_one_row(meta: MetaSandbox) -> None:
    ts = meta.account.clock()
    meta.account.add_clicks(
        [Clicks(campaign="12", clicks=n, device=d, ts=ts) for n, d in [(3, "mobile"), (5, "desktop")]]
    )
    meta.account.clock.now = ts + 4 * HOUR_MS
    (row,) = account(meta).spend(ts - HOUR_MS, ts + HOUR_MS, deadline_s=10).rows
    assert (row.clicks, row.device) == (8, "")


def test_budgets_of_currencies_without_cents_count_whole_units(meta: MetaSandbox) -> None:
    state = account(meta, currency="JPY").campaign("meta:2345678901:11", deadline_s=5)
    assert state.daily_budget_micros == 10_000_000_000


def answered(meta: MetaSandbox, body: bytes) -> MetaAccount:
    """An account whose every call is answered with this."""
    client = account(meta)
    client._graph._http._client = httpx.Client(
        base_url=meta.endpoint, transport=httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    )
    return client


@pytest.mark.parametrize(
    "body",
    [b"<html>gateway</html>", b'["not an object"]', b'{"data":[1]}', b'{"data":{}}'],
    ids=["html", "list", "no rows", "no list"],
)
def test_a_malformed_answer_is_a_source_error_and_nothing_else(meta: MetaSandbox, body: bytes) -> None:
    with pytest.raises(SourceError):
        answered(meta, body).spend(0, HOUR_MS, deadline_s=1)


GOOD_ROW = (
    b'{"campaign_id":"1","date_start":"2026-11-20","hourly_stats_aggregated_by_advertiser_time_zone":"09:00:00 - 09:59:59",'
    b'"spend":"1.50","account_currency":"USD"}'
)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (b'{"campaign_id":"1"}', "date_start"),
        (b'{"campaign_id":1,"date_start":"x"}', "campaign_id"),
        (GOOD_ROW.replace(b"2026-11-20", b"2026-13-01"), "month"),
        (GOOD_ROW.replace(b"09:00:00 - 09:59:59", b"25"), "hour"),
        (GOOD_ROW.replace(b"1.50", b"x"), "not a decimal amount"),
    ],
    ids=["missing columns", "wrong types", "no day", "no hour", "no amount"],
)
def test_a_row_of_spend_that_cannot_be_understood_is_counted_and_the_others_are_kept(
    meta: MetaSandbox, row: bytes, word: str
) -> None:
    report = answered(meta, b'{"data":[%s,%s,%s]}' % (row, GOOD_ROW, row)).spend(0, HOUR_MS, deadline_s=1)
    assert [spent.cost_micros for spent in report.rows] == [1_500_000]
    assert report.invalid == 2
    assert word in report.detail


def test_a_campaign_that_cannot_be_understood_is_an_error_because_guards_rely_on_states(meta: MetaSandbox) -> None:
    with pytest.raises(Permanent, match="another shape than documented"):
        answered(meta, b'{"data":[{"id":"1","name":"Spring","status":7}]}').campaigns(deadline_s=1)


def test_a_token_file_with_more_than_a_token_is_refused(meta: MetaSandbox) -> None:
    meta.credentials_file.write_text("EAAB one two")
    with pytest.raises(Permanent, match="does not hold one access token"):
        account(meta).campaigns(deadline_s=5)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ('{"1":[{"type":"ads_insights","estimated_time_to_regain_access":3}]}', 180.0),
        ('{"1":[{"estimated_time_to_regain_access":0}]}', None),
        ("", None),
        ("nonsense", None),
        ('{"1":[{"estimated_time_to_regain_access":"x"}]}', None),
    ],
)
def test_the_announced_wait_is_read_from_the_usage_header(header: str, seconds: float | None) -> None:
    assert regain_access_s(httpx.Headers({"x-business-use-case-usage": header})) == seconds
