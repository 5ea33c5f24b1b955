"""An incident for tests of the console."""

from __future__ import annotations

from typing import Any

import msgspec

from core.clock import MINUTE_MS
from core.incidents import AffectedCampaign, Cost, Evidence, FailedTrace, IncidentPayload, SuspectDeploy

ONSET = 1_790_000_040_000
INCIDENT_ID = "9f1c2a7be0d34c55a1b2c3d4e5f60718"
CLICK_ID = "55f961499fb34b8a3bba809f74ef1007"


def payload(**changes: Any) -> IncidentPayload:
    """A broken checkout on mobile; `changes` replace fields."""
    campaign = AffectedCampaign(
        campaign="google:1:2", platform="google", name="Spring search", client="acme", clicks=1310, expected=78.6,
        observed=24, baseline_rate=0.06, rate=0.0183, rate_low=0.0117, rate_high=0.0281, break_even_rate=0.034,
        exposed_per_hour_micros=412_500_000, wasted_per_hour_micros=286_100_000, currency="USD",
    )  # fmt: skip
    cost = Cost(
        currency="USD", exposed_micros=142_700_000, wasted_micros=99_500_000, exposed_per_hour_micros=412_500_000,
        wasted_per_hour_micros=286_100_000, wasted_per_hour_low_micros=251_000_000,
        wasted_per_hour_high_micros=315_000_000,
    )  # fmt: skip
    found = IncidentPayload(
        incident_id=INCIDENT_ID, title="Orders on mobile fell 70 %", sentence="Visitors on mobile order 70 % less.",
        verdict="site_failing", confidence=0.94, alternatives={"site_failing": 0.94, "tracking_broken": 0.05},
        direction="drop", hypothesis="arrival", scope={"device": "mobile"}, stream="device=mobile", onset=ONSET,
        onset_low=ONSET - 30_000, onset_high=ONSET + 40_000, detected=ONSET + 95_000,
        complete_through=ONSET + 10 * MINUTE_MS, expected=78.6, observed=24, lost_share=0.7, lost_share_low=0.58,
        lost_share_high=0.79, clicks=1310, baseline_rate=0.06, rate=0.0183, rate_low=0.0117, rate_high=0.0281,
        cost=cost, campaigns=[campaign],
        evidence=[Evidence(name="form_errors", text="POST /order answers 500.", verdict="site_failing", log_likelihood=9.0)],
        deploys=[
            SuspectDeploy(service="shop", version="1.4.2", change="deploy", ts=ONSET - 42_000, score=0.9, reason="before")
        ],
        traces=[
            FailedTrace(trace_id=CLICK_ID, click_id=CLICK_ID, ts=ONSET, service="shop", route="/order", error="boom")
        ],
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)
