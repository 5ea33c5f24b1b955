"""What a Meta account counts as conversions, over the wire: each figure once, whatever names it comes under."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.demo.meta_reports import CountedAction
from app.demo.meta_sandbox import HOURLY, MetaSandbox
from core.clock import DAY_MS, HOUR_MS, parse_rfc3339
from core.vendors.base import ConversionCount, Report
from core.vendors.config import AccountConfig
from core.vendors.meta import MetaAccount
from core.vendors.meta_reports import CONVERSION_PARAMS, conversions
from tests.core.vendors.conftest import NOW

TODAY = "2026-11-18"
HAPPENED = NOW - 5 * HOUR_MS


def account(meta: MetaSandbox, **changes: object) -> MetaAccount:
    values = {"platform": "meta", "account": "2345678901", "endpoint": meta.endpoint}
    return MetaAccount(
        AccountConfig.model_validate(values | {"credentials_file": str(meta.credentials_file)} | changes)
    )


def read(
    client: MetaAccount, *actions: str, since: int = NOW - HOUR_MS * 12, until: int = NOW
) -> Report[ConversionCount]:
    return conversions(client, actions=actions, since_ms=since, until_ms=until, deadline_s=10)


def test_only_the_actions_that_were_named_come_with_count_and_value(meta: MetaSandbox) -> None:
    meta.reports.actions += [
        CountedAction(campaign="11", ts=HAPPENED, count=2, value=59.9),
        CountedAction(campaign="11", ts=HAPPENED, event="lead"),
    ]
    purchase, lead = read(account(meta), "omni_purchase", "lead").rows
    assert (purchase.campaign, purchase.action) == ("meta:2345678901:11", "omni_purchase")
    assert (purchase.count, purchase.value, purchase.currency) == (2.0, 59.9, "USD")
    assert (lead.action, lead.count, lead.value) == ("lead", 1.0, 0.0)
    assert (purchase.bucket_ms, purchase.bucket_s) == (NOW - NOW % DAY_MS, 86_400)


def test_days_are_the_accounts_own(meta: MetaSandbox) -> None:
    from zoneinfo import ZoneInfo

    meta._zone = ZoneInfo("Asia/Kolkata")
    meta.reports.actions.append(CountedAction(campaign="11", ts=parse_rfc3339("2026-11-17T20:00:00Z")))
    meta.account.clock.now = parse_rfc3339("2026-11-18T12:00:00Z")
    until = meta.account.clock.now
    (row,) = read(account(meta, timezone="Asia/Kolkata"), "omni_purchase", since=until - HOUR_MS, until=until).rows
    assert row.bucket_ms == parse_rfc3339("2026-11-18T00:00:00+05:30")


def test_ad_sets_of_different_attribution_settings_are_added_up_here_because_meta_does_not(meta: MetaSandbox) -> None:
    meta.reports.attribution["2"] = "1d_click"
    meta.reports.actions += [
        CountedAction(campaign="11", ad_set=ad_set, ts=HAPPENED, count=count, value=10.0)
        for ad_set, count in [("1", 2), ("2", 3)]
    ]
    (row,) = read(account(meta), "omni_purchase").rows
    assert (row.count, row.value) == (5.0, 20.0)
    whole = meta.reports.rows(_asked(level="campaign"), now=NOW, lag_s=0, zone=meta._zone)
    assert whole is not None
    assert [list(row) for row in whole] == [["campaign_id", "account_currency", "date_start", "date_stop"]]


def test_the_hourly_question_of_spend_would_have_no_purchases(meta: MetaSandbox) -> None:
    meta.reports.actions.append(CountedAction(campaign="11", ts=HAPPENED))
    hourly = meta.reports.rows(_asked(breakdowns=HOURLY), now=NOW, lag_s=0, zone=meta._zone)
    daily = meta.reports.rows(_asked(), now=NOW, lag_s=0, zone=meta._zone)
    assert hourly is not None
    assert daily is not None
    assert ["actions" in row for row in [*hourly, *daily]] == [False, True]
    assert "breakdowns" not in CONVERSION_PARAMS


def _asked(**changes: str) -> dict[str, str]:
    return CONVERSION_PARAMS | {"time_range": f'{{"since":"{TODAY}","until":"{TODAY}"}}'} | changes


def test_a_large_span_is_one_job(meta: MetaSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    start = meta.jobs.start
    monkeypatch.setattr(meta.jobs, "start", lambda params: (started.append(params), start(params))[1])
    meta.reports.actions += [CountedAction(campaign="11", ts=HAPPENED - day * DAY_MS) for day in range(28)]
    client = account(meta)
    assert len(read(client, "omni_purchase", since=NOW - 28 * DAY_MS).rows) == 28
    (job,) = started
    assert CONVERSION_PARAMS.items() <= job.items()
    assert len(read(client, "omni_purchase", since=NOW - HOUR_MS).rows) == 1
    assert len(started) == 1, "two days are asked for at once"


def _row(**changes: Any) -> dict[str, Any]:
    purchase = [{"action_type": "omni_purchase", "value": "2"}]
    return {"campaign_id": "1", "date_start": TODAY, "account_currency": "EUR", "actions": purchase} | changes


@pytest.mark.parametrize(
    ("spoilt", "word"),
    [
        ({"actions": [{"action_type": "omni_purchase", "value": "many"}]}, "many"),
        ({"actions": [{"action_type": "omni_purchase", "value": "nan"}]}, "nan"),
        ({"actions": [{"action_type": "omni_purchase"}]}, "value"),
        ({"actions": "none"}, "actions"),
        ({"account_currency": None}, "account_currency"),
    ],
)
def test_a_campaigns_day_with_an_ad_set_that_cannot_be_understood_is_left_out_and_counted(
    meta: MetaSandbox, spoilt: dict[str, Any], word: str
) -> None:
    body = {"data": [_row(adset_id="1"), _row(adset_id="2", **spoilt), _row(campaign_id="2")]}
    client = account(meta)
    client._graph._http._client = httpx.Client(
        base_url=meta.endpoint, transport=httpx.MockTransport(lambda _request: httpx.Response(200, json=body))
    )
    report = read(client, "omni_purchase")
    assert [(row.campaign, row.count) for row in report.rows] == [("meta:2345678901:2", 2.0)]
    assert report.invalid == 1
    assert word in report.detail


def test_an_ad_set_without_actions_and_an_action_nobody_asked_for_are_nothing(meta: MetaSandbox) -> None:
    meta.reports.actions.append(CountedAction(campaign="11", ts=HAPPENED, event="video_view"))
    report = read(account(meta), "omni_purchase")
    assert (report.rows, report.invalid) == ([], 0)
