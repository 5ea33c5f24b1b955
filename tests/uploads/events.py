"""Conversions as the store would tell them, for tests that need no store."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.conftest import START_MS
from uploads.base import Candidate, Event
from uploads.decisions import event_id, upload_id
from uploads.destination_config import ConversionMapping

CLICK_TS = START_MS - 3_600_000
GCLID = "Cj0KCQiA-Test_Gclid"
FBCLID = "IwAR0-Test_Fbclid"
AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1"

ORDER = Candidate(
    fact_id="conversion::backend:order:o-1", conversion_id="o-1", type="order", status="confirmed", origin="backend", ts=START_MS - 60_000,
    known_at=START_MS - 60_000, matched_at=START_MS - 50_000, claimed=False, value_micros=59_900_000, currency="EUR", client="", order_id="",
    page="https://shop.example/thanks?email=a%40b.example", user_agent=AGENT, email_sha256="e" * 64, phone_sha256="", attributes={},
    platform_ids={}, confidence=1.0, campaign="google:1234567890:2", click_ts=CLICK_TS, click_platform_ids={"gclid": GCLID, "fbclid": FBCLID},
    click_user_agent="", consents=["yes"], sandbox=False, flagged=False,
)  # fmt: skip


def order(number: int = 1, **changes: Any) -> Candidate:
    """The order `o-<number>`."""
    own = {"fact_id": f"conversion::backend:order:o-{number}", "conversion_id": f"o-{number}"}
    return msgspec.structs.replace(ORDER, **(own | changes))


def event(number: int = 1, *, target: str = "7001", name: str = "gclid", **changes: Any) -> Event:
    """The order as it is sent."""
    candidate = order(number, **changes)
    mapping = ConversionMapping(type="order", target=target, statuses=("confirmed",))
    return Event(
        upload_id=upload_id("test", target, candidate.fact_id),
        reported_to="test",
        event_id=event_id(candidate),
        mapping=mapping,
        candidate=candidate,
        id_name=name,
        id_value=candidate.click_platform_ids[name],
    )
