"""The ad platforms' sandboxes as the demo runs them: processes of their own, steered over their control port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.demo import gaql
from app.demo.ad_account import AdAccount, Behaviour, CampaignSetup, Clicks
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS

NOW = 1_790_000_000_000


class Sandbox:
    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, str], directory: Path) -> None:
        self.process = process
        self.ready = ready
        self.directory = directory
        self.campaign = f"{ready['platform']}:{ready['account']}:11"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        response = httpx.request(method, self.ready["control"] + path, json=body, timeout=5)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(params=["google", "meta"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "campaigns.json").write_text(json.dumps([{"id": "11", "name": "Spring", "cpc_micros": 1_000_000}]))
    command = [sys.executable, "-m", f"app.demo.{request.param}_sandbox", "--dir", str(tmp_path / "platform")]
    process = subprocess.Popen([*command, "--campaigns", str(tmp_path / "campaigns.json"), "--report-lag-s", "5"])
    ready = tmp_path / "platform" / "ready.json"
    deadline = time.monotonic() + 30
    while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    yield Sandbox(process, json.loads(ready.read_text()), tmp_path / "platform")
    process.kill()
    process.wait(10)


def test_a_sandbox_is_steered_over_its_control_port_and_ends_on_sigterm(sandbox: Sandbox) -> None:
    assert sandbox.call("GET", "/control/delivery") == {"delivering": [sandbox.campaign]}
    clicks = {"campaign": sandbox.campaign, "device": "mobile", "clicks": 3}
    assert sandbox.call("POST", "/control/clicks", [clicks, clicks])["accepted"] == 6
    paused = {"id": "11", "name": "Spring", "status": "paused"}
    sandbox.call("PUT", "/control/campaigns", paused)
    assert sandbox.call("GET", "/control/delivery") == {"delivering": []}
    refused = sandbox.call("POST", "/control/clicks", clicks)
    assert refused == {"accepted": 0, "refused": 3, "refused_campaigns": [sandbox.campaign]}
    assert sandbox.call("POST", "/control/behaviour", {"report_lag_s": 9})["report_lag_s"] == 9
    assert Path(sandbox.ready["credentials_file"]).stat().st_mode & 0o077 == 0, "nobody else reads the credentials"
    sandbox.process.send_signal(signal.SIGTERM)
    assert sandbox.process.wait(10) == 0
    assert not (sandbox.directory / "ready.json").exists()


@pytest.mark.parametrize("body", ["{", '{"clicks":1}', '{"campaign":"11","clicks":"x"}'])
def test_a_wrong_control_call_is_400(sandbox: Sandbox, body: str) -> None:
    assert httpx.post(sandbox.ready["control"] + "/control/clicks", content=body, timeout=5).status_code == 400
    assert httpx.get(sandbox.ready["control"] + "/elsewhere", timeout=5).status_code == 404


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> AdAccount:
    return AdAccount(
        platform="google",
        account="1",
        currency="USD",
        campaigns=[
            CampaignSetup(id="11", name="Spring", cpc_micros=1_000_000, daily_budget_micros=10_000_000),
            CampaignSetup(id="12", name="Autumn", cpc_micros=500_000),
        ],
        behaviour=Behaviour(report_lag_s=60, restate_after_s=600, restate_share=0.05),
        clock=clock,
    )


def test_spend_is_reported_after_the_lag_minute_by_minute(account: AdAccount, clock: Clock) -> None:
    account.add_clicks([Clicks(campaign="12", clicks=2, ts=NOW)])
    assert account.reports(0, NOW + DAY_MS) == []
    clock.now = NOW // MINUTE_MS * MINUTE_MS + 2 * MINUTE_MS
    (report,) = account.reports(0, NOW + DAY_MS)
    assert (report.clicks, report.cost_micros, report.hour) == (2, 1_000_000, NOW // HOUR_MS * HOUR_MS)


def test_every_figure_is_restated_once_in_either_direction(account: AdAccount, clock: Clock) -> None:
    for minute in range(200):
        account.add_clicks([Clicks(campaign="12", clicks=100, ts=NOW + minute * MINUTE_MS)])
    clock.now = NOW + 201 * MINUTE_MS + 60_000
    account.behaviour.restate_after_s = 1e9
    before = {report.hour: report.cost_micros for report in account.reports(0, NOW + DAY_MS)}
    account.behaviour.restate_after_s = 0
    after = {report.hour: report.cost_micros for report in account.reports(0, NOW + DAY_MS)}
    changes = [after[hour] / before[hour] - 1 for hour in before]
    assert all(0 < abs(change) <= 0.05 for change in changes)
    assert sum(after.values()) == account.true_cost_micros("12")
    assert after == {report.hour: report.cost_micros for report in account.reports(0, NOW + DAY_MS)}


def test_a_campaign_that_spent_its_daily_budget_stops_until_tomorrow(account: AdAccount, clock: Clock) -> None:
    assert account.add_clicks([Clicks(campaign="11", clicks=10)]).accepted == 10
    assert account.delivering() == ["google:1:12"]
    assert account.add_clicks([Clicks(campaign="11", clicks=1)]).refused == 1
    clock.now += DAY_MS
    assert "google:1:11" in account.delivering()


def test_unknown_campaigns_take_no_clicks(account: AdAccount) -> None:
    assert account.add_clicks([Clicks(campaign="google:1:99", clicks=1)]).refused_campaigns == ["google:1:99"]


def test_the_query_language_is_taken_apart() -> None:
    query = gaql.parse(
        "SELECT campaign.id, metrics.clicks FROM campaign WHERE segments.date BETWEEN '2026-01-01' AND '2026-01-31' "
        "AND campaign.status != 'REMOVED' AND campaign.id IN (1, 2) ORDER BY campaign.id LIMIT 10"
    )
    assert query.fields == ["campaign.id", "metrics.clicks"]
    assert query.values("segments.date", "BETWEEN") == ["2026-01-01", "2026-01-31"]
    assert query.values("campaign.status", "!=") == ["REMOVED"]
    assert query.values("campaign.id", "IN") == ["1", "2"]
    with pytest.raises(ValueError, match="expected SELECT"):
        gaql.parse("DELETE everything")
