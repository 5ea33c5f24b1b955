"""The whole system: a click with consent through the redirect, an order over the API, an event at Meta, a line in the sent log."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from core.clock import now_ms, to_rfc3339
from tests.uploads.sandboxes.meta_conversions import MetaConversionsSandbox

from .running_system import System, eventually, running

AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1"


def environ(sandbox: MetaConversionsSandbox) -> dict[str, str]:
    connection = {
        "name": "meta-shop",
        "enabled": True,
        "endpoint": sandbox.endpoint,
        "dataset": sandbox.dataset,
        "credentials_file": str(sandbox.credentials_file),
        "conversions": [{"type": "order", "target": "Purchase"}],
        "page_url": "https://shop.example/",
        "wait_s": 0,
    }
    return {
        "CLICKTRACE_UPLOADS__ENABLED": "true",
        "CLICKTRACE_UPLOADS__INTERVAL_S": "1",
        "CLICKTRACE_UPLOADS__META_CONVERSIONS": json.dumps({"connections": [connection]}),
    }


def order(system: System, number: int, *, fbclid: str, consent: str) -> None:
    """A person clicks, with or without consent, and buys."""
    answer = httpx.get(
        system.url("redirect", f"/spring?fbclid={fbclid}&ct_consent={consent}"), headers={"User-Agent": AGENT}
    )
    assert answer.status_code == 302
    body = {
        "conversion_id": f"o-{number}", "type": "order", "status": "confirmed", "value": "59.90", "currency": "EUR",
        "ts": to_rfc3339(now_ms()), "fbclid": fbclid,
    }  # fmt: skip
    with system.client() as client:
        answer = client.post("/api/v1/conversions", json=body)
        assert answer.json()["results"][0]["status"] == 201, answer.text


@pytest.mark.slow
def test_an_order_with_consent_is_reported_and_one_without_is_not(tmp_path: Path) -> None:
    with (
        MetaConversionsSandbox(tmp_path / "meta") as sandbox,
        running(tmp_path / "data", environ=environ(sandbox)) as system,
    ):
        body = {"slug": "spring", "destination": "https://shop.example/p", "platform": "meta", "campaign": "meta:1:2"}
        with system.client() as client:
            assert client.post("/api/v1/links", json=body).status_code == 201
        # The destination begins with its first round, and reports nothing from before.
        eventually(lambda: "clicktrace_uploads{" in httpx.get(system.url("monitor", "/metrics")).text, within_s=60)
        eventually(lambda: httpx.get(system.url("redirect", "/spring")).status_code == 302, within_s=10, what="link")
        order(system, 1, fbclid="IwAR-Given_1", consent="yes")
        order(system, 2, fbclid="IwAR-Refused_2", consent="no")
        eventually(lambda: sandbox.counted, within_s=60, what="an event at Meta")
        [(key, [event])] = sandbox.counted.items()
        assert key == ("Purchase", "o-1")
        assert event["user_data"]["fbc"].endswith(".IwAR-Given_1")
        assert event["user_data"]["client_user_agent"] == AGENT
        eventually(
            lambda: len(system.select("SELECT fact_id FROM upload_current WHERE state IN ('sent', 'skipped')")) == 2,
            within_s=30,
            what="both in the store",
        )
        found = {
            row["event_id"]: (row["state"], row["reason"]) for row in system.select("SELECT * FROM upload_current")
        }
        assert found == {"o-1": ("sent", ""), "o-2": ("skipped", "consent_unknown")}
        assert system.stop() == 0, system.tail()
    assert len(sandbox.batches) == 1
