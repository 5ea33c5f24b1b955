from typing import Any

import pytest

from app.cli.explain import concerns, lines_of, period
from core.errors import Invalid


def entry(**payload: Any) -> dict[str, Any]:
    own = {
        "campaign": "google:1:1",
        "observed": 9,
        "expected": 48.2,
        "rate": 0.014,
        "rate_low": 0.006,
        "rate_high": 0.03,
        "baseline_rate": 0.072,
        "exposed_per_hour_micros": 1_312_000_000,
        "wasted_per_hour_micros": 874_000_000,
        "currency": "USD",
        "loses_sales": True,
    }
    told = {
        "title": "Site failing: mobile visitors of a.test/x",
        "sentence": "Since 14:14 UTC 81% fewer conversions.",
        "verdict": "site_failing",
        "confidence": 0.98,
        "campaigns": [own],
        "evidence": [
            {"verdict": "site_failing", "log_likelihood": 6.0, "text": "orders POST /order fails for 80%"},
            {"verdict": "tracking_broken", "log_likelihood": -3.0, "text": "orders without a click did not rise"},
        ],
        "deploys": [
            {
                "change": "deploy",
                "service": "orders",
                "version": "2.1",
                "ts": 1_790_000_000_000,
                "score": 0.97,
                "reason": "30 s before",
            }
        ],
        "traces": [{"trace_id": "ab" * 16, "service": "orders", "route": "POST /order", "error": "ValueError"}],
        "recovery": None,
    }
    return {"state": "open", "payload": {**told, **payload}}


def test_an_incident_is_told_with_reasons_deploys_and_traces() -> None:
    text = "\n".join(lines_of(entry(), "google:1:1"))
    for part in (
        "98% sure",
        "9 conversions where 48",
        "874 of 1,312 USD an hour",
        "for: orders POST /order fails for 80%",
        "deploy 1: deploy orders 2.1 at 14:13:20 UTC",
        "ab" * 16,
    ):
        assert part in text
    assert "without a click did not rise" not in text


def test_a_campaign_that_loses_no_sales_is_told_not_to_be_paused() -> None:
    spared = entry()
    spared["payload"]["campaigns"][0]["loses_sales"] = False
    assert "do not pause it" in "\n".join(lines_of(spared, "google:1:1"))


def test_only_incidents_of_the_campaign_count() -> None:
    assert concerns(entry(), "google:1:1")
    assert not concerns(entry(), "meta:2:1")


def test_a_moment_becomes_the_time_around_it() -> None:
    assert period("2026-11-20T10:00:00Z") == {"from": "2026-11-20T08:00:00.000Z", "to": "2026-11-20T10:00:00.001Z"}
    assert period("") == {}


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="bad_time"):
        period("2026-11-20T10:00:00")
