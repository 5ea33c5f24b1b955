"""The real clients against the sandboxes, over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo.ad_account import Behaviour, CampaignSetup
from app.demo.google_sandbox import GoogleSandbox, process_ca
from app.demo.meta_sandbox import MetaSandbox

NOW = 1_795_000_000_000

CAMPAIGNS = [
    CampaignSetup(id="11", name="Spring", cpc_micros=500_000, daily_budget_micros=100_000_000, labels=["core"]),
    CampaignSetup(id="12", name="Autumn", cpc_micros=800_000),
    CampaignSetup(id="13", name="Gone", status="removed"),
]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def world_clock() -> Clock:
    return Clock()


def behaviour() -> Behaviour:
    return Behaviour(report_lag_s=3 * 3600, restate_after_s=24 * 3600, restate_share=0.05)


@pytest.fixture
def google(tmp_path: Path, world_clock: Clock) -> Iterator[GoogleSandbox]:
    with GoogleSandbox(
        tmp_path / "google", campaigns=CAMPAIGNS, behaviour=behaviour(), clock=world_clock, ca=process_ca()
    ) as sandbox:
        yield sandbox


@pytest.fixture
def meta(tmp_path: Path, world_clock: Clock) -> Iterator[MetaSandbox]:
    with MetaSandbox(tmp_path / "meta", campaigns=CAMPAIGNS, behaviour=behaviour(), clock=world_clock) as sandbox:
        yield sandbox
