"""Insights of large spans as asynchronous jobs, over loopback: nothing is read twice, and nothing is lost when a job is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.demo.ad_account import Clicks
from app.demo.meta_sandbox import MetaSandbox
from collectors.meta_ads.collector import MetaAdsSource
from collectors.meta_ads.config import MetaAdsConfig
from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, Transient
from core.vendors.config import AccountConfig
from core.vendors.meta import MetaAccount
from core.vendors.meta_graph import Usage, usage_of
from tests.core.vendors.conftest import NOW

DAYS = 10
SINCE, UNTIL = NOW - DAYS * DAY_MS, NOW


class Waits:
    """Pauses between questions: taken, and not slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def account(meta: MetaSandbox, waits: Waits) -> MetaAccount:
    config = AccountConfig(
        platform="meta", account="2345678901", endpoint=meta.endpoint, credentials_file=str(meta.credentials_file)
    )
    client = MetaAccount(config)
    client._insights._sleep, client._insights._monotonic = waits.sleep, waits
    return client


@pytest.fixture
def started(meta: MetaSandbox, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The spans of the jobs that were started."""
    found: list[dict[str, str]] = []
    start: Callable[[dict[str, str]], dict[str, Any]] = meta.jobs.start
    monkeypatch.setattr(meta.jobs, "start", lambda params: (found.append(params), start(params))[1])
    return found


@pytest.fixture
def spent(meta: MetaSandbox) -> int:
    """One click of ten cents more each day; how many rows that makes."""
    meta.account.add_clicks(
        [Clicks(campaign="11", clicks=day + 1, ts=NOW - day * DAY_MS - 5 * HOUR_MS) for day in range(DAYS)]
    )
    return DAYS


def clicks(account: MetaAccount, *, deadline_s: float = 60, since: int = SINCE) -> list[int]:
    return sorted(row.clicks for row in account.spend(since, UNTIL, deadline_s=deadline_s).rows)


def test_a_large_span_is_one_job_and_a_small_one_needs_none(account, meta, spent, started) -> None:
    assert clicks(account) == list(range(1, spent + 1))
    assert len(started) == 1
    assert clicks(account, since=UNTIL - DAY_MS) == [1, 2], "days that touch the span come whole"
    assert len(started) == 1


def test_a_job_is_waited_for_with_growing_pauses(account, meta, spent, waits) -> None:
    meta.account.behaviour.job_polls = 7
    assert len(clicks(account)) == spent
    assert waits.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_job_that_is_not_through_in_time_is_read_next_time_and_not_started_again(
    account, meta, spent, started, waits
) -> None:
    meta.account.behaviour.job_polls = 5
    with pytest.raises(Transient, match=r"is at \d+ %"):
        clicks(account, deadline_s=4)
    assert len(clicks(account, deadline_s=30)) == spent
    assert len(started) == 1
    clicks(account)
    assert len(started) == 2, "what was read once is asked for anew: figures move"


def test_a_job_that_is_old_is_not_waited_for_any_more(account, meta, spent, started, waits) -> None:
    meta.account.behaviour.job_polls = 5
    with pytest.raises(Transient):
        clicks(account, deadline_s=4)
    waits.now += 3_601
    assert len(clicks(account)) == spent
    assert len(started) == 2


def test_rows_that_do_not_come_are_read_again_from_the_same_job(account, meta, spent, started) -> None:
    meta.account.behaviour.page_size = 3
    pages = account._graph.pages
    account._graph.pages = lambda path, params, **more: (_ for _ in ()).throw(Transient("meta", "cut off"))
    with pytest.raises(Transient):
        clicks(account)
    account._graph.pages = pages
    assert len(clicks(account)) == spent
    assert len(started) == 1


def test_a_failed_job_is_asked_for_in_pieces(account, meta, spent, started) -> None:
    meta.account.behaviour.failed_jobs = 1
    assert clicks(account) == list(range(1, spent + 1))
    assert len(started) == 3


def test_too_much_data_is_asked_for_in_pieces_down_to_a_day(account, meta, spent) -> None:
    meta.account.behaviour.most_days = 1
    assert clicks(account) == list(range(1, spent + 1))


def test_a_day_that_is_too_much_is_a_permanent_error(account, meta, spent, monkeypatch) -> None:
    monkeypatch.setattr(meta, "_check_size", lambda _params: _too_much(meta))
    with pytest.raises(Permanent, match="alone is more"):
        clicks(account)


def _too_much(meta: MetaSandbox) -> None:
    meta.account.behaviour.most_days = 1
    MetaSandbox._check_size(meta, {"time_range": '{"since":"2026-01-01","until":"2026-01-09"}'})


@pytest.mark.parametrize("how", ["skipped", "expired"])
def test_a_job_that_the_platform_gave_up_is_started_again_by_the_next_attempt(
    account, meta, spent, started, how
) -> None:
    meta.account.behaviour.job_polls = 5
    meta.account.behaviour.skipped_jobs = int(how == "skipped")
    with pytest.raises(Transient):
        clicks(account, deadline_s=4)
    if how == "expired":
        meta.jobs.forget()
    with pytest.raises(Transient):
        clicks(account)
    assert len(clicks(account)) == spent
    assert len(started) == 2


def test_figures_that_were_restated_come_with_the_next_read(account, meta, world_clock) -> None:
    meta.account.behaviour.restate_after_s = 27 * 86_400.0
    meta.account.add_clicks([Clicks(campaign="11", clicks=1_000, ts=NOW - 5 * HOUR_MS)])
    (before,) = account.spend(NOW - 3 * DAY_MS, NOW, deadline_s=10).rows
    world_clock.now = NOW + 28 * DAY_MS
    (after,) = account.spend(NOW - 3 * DAY_MS, NOW, deadline_s=10).rows
    assert (before.bucket_ms, before.clicks) == (after.bucket_ms, after.clicks)
    assert before.cost_micros != after.cost_micros


def test_the_source_tells_how_much_of_the_hours_budget_is_used(account, meta) -> None:
    config = AccountConfig(platform="meta", account="2345678901")
    source = MetaAdsSource(account, account_config=config, config=MetaAdsConfig())
    assert source.quota() is None
    source.describe(now=NOW, deadline_s=5)
    quota = source.quota()
    assert quota is not None
    assert (quota.used, quota.limit) == (1.0, 100.0)


@pytest.mark.parametrize(
    ("headers", "usage"),
    [
        ({}, None),
        ({"x-business-use-case-usage": "nonsense"}, None),
        (
            {"x-business-use-case-usage": '{"1":[{"call_count":28,"total_cputime":25,"total_time":41}],"2":[{"call_count":7}]}'},
            Usage(percent=41.0),
        ),
        (
            {"x-fb-ads-insights-throttle": '{"app_id_util_pct":100,"acc_id_util_pct":10}'},
            Usage(percent=100.0),
        ),
        (
            {"x-business-use-case-usage": '{"1":[{"call_count":100,"estimated_time_to_regain_access":9}]}'},
            Usage(percent=100.0, regain_s=540.0),
        ),
        ({"x-business-use-case-usage": '{"1":[{"call_count":"x"}]}'}, Usage()),
    ],
)  # fmt: skip
def test_usage_headers_are_read_as_documented(headers: dict[str, str], usage: Usage | None) -> None:
    assert usage_of(httpx.Headers(headers)) == usage
