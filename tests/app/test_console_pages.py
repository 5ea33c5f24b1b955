"""The console in a real browser on a real system."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import msgspec
import pytest

from core.journal.writer import JournalWriter
from core.records import Click, Incident
from core.settings import JournalConfig

from .console_payload import CLICK_ID, INCIDENT_ID, payload
from .running_system import System, eventually, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("console") / "data") as started:
        yield started


def clicktrace(system: System, *args: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "app.cli.main", *args],
        env=system.environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return run.stdout


def page(system: System, path: str) -> str:
    """The page's HTML once its scripts have run, for somebody who has just signed in with a one-time link."""
    url = json.loads(clicktrace(system, "keys", "link", "--json"))["url"]
    with tempfile.TemporaryDirectory() as profile:
        run = subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", f"{url}&next={path}",
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    return run.stdout


def write(system: System, *records: Click | Incident) -> None:
    """Journal records beside the running system, as any other process of the installation may, and wait until they are shipped."""
    writer = JournalWriter(system.data_dir / "journal", config=JournalConfig(), name="test")
    writer.append_many(records)
    writer.close()
    eventually(lambda: int(system.select("SELECT count() AS n FROM incident")[0]["n"]) > 0, within_s=20)


def test_an_empty_console_is_calm_and_not_white(system: System) -> None:
    html = page(system, "/")
    assert "No incident" in html
    assert "clicktrace links add" in html
    assert "complete through" in html


def test_an_incident_shows_what_changed_why_what_it_costs_and_the_way_to_its_clicks(system: System) -> None:
    now = round(time.time() * 1000)
    moved = payload(onset=now - 600_000, detected=now - 500_000, complete_through=now)
    click = Click(
        ts=now - 600_000, source="redirect", click_id=CLICK_ID, hit_id="55f961499fb34b8a", link_id="l", link_version=1,
        slug="spring", domain="", http_status=302, reason="", duration_us=90, page="shop.example/p",
        campaign="google:1:2", platform="google",
    )  # fmt: skip
    record = Incident(
        ts=now, source="correlator", fact_id=f"incident:{INCIDENT_ID}", incident_id=INCIDENT_ID, state="open",
        onset=moved.onset, opened=moved.detected, verdict=moved.verdict, scope=moved.scope,
        payload=msgspec.to_builtins(moved),
    )  # fmt: skip
    write(system, click, record)
    assert "Orders on mobile fell 70 %" in page(system, "/")
    html = page(system, f"/incidents/{INCIDENT_ID}")
    for said in (
        "site failing",
        "POST /order answers 500.",
        "shop 1.4.2",
        "$286",
        "Spring search",
        f"/clicks/{CLICK_ID}",
    ):
        assert said in html
    assert "<canvas" in html
    journey = page(system, f"/clicks/{CLICK_ID}")
    assert "Hits on the link" in journey
    assert "google:1:2" in journey
    figures = page(system, "/figures")
    assert "converted_clicks / mature_clicks" in figures
    assert "below 0.7 x baseline" in figures


@pytest.mark.parametrize("path", ["/incidents/none", "/clicks/none", "/clicks/" + "a" * 32])
def test_what_does_not_exist_says_so_and_leads_back(system: System, path: str) -> None:
    html = page(system, path)
    assert "All incidents" in html
