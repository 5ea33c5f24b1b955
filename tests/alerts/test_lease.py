"""When a pause ends by itself, and when it does not."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.actions.lease import return_due
from alerts.ledger import Lease
from core.clock import HOUR_MS
from core.incidents import Recovery
from tests.alerts.world import incident_payload

NOW = 1_790_000_000_000
LEASE = Lease(
    target="google:1:2",
    action_id="a" * 32,
    platform="google",
    previous_status="enabled",
    started_at=NOW - HOUR_MS,
    expires_at=NOW + HOUR_MS,
)
KEPT = Lease(
    target="google:1:2",
    action_id="a" * 32,
    platform="google",
    previous_status="enabled",
    started_at=NOW - 9 * HOUR_MS,
    expires_at=NOW - HOUR_MS,
    kept_by="Ann",
)
RECOVERED = incident_payload(now=NOW, recovery=Recovery(recovered=True, text="back"))
NOT_YET = incident_payload(now=NOW, recovery=Recovery(recovered=False, text="errors go on"))
RETURNS = frozenset({"stop_returns"})
PAUSES = frozenset({"stop_pauses"})


@pytest.mark.parametrize(
    ("changes", "due", "reason"),
    [
        ({}, False, "still_needed"),
        ({"incident": NOT_YET, "incident_state": "recovering"}, False, "still_needed"),
        ({"incident": RECOVERED, "incident_state": "recovering"}, True, "recovered"),
        ({"incident": RECOVERED, "incident_state": "closed"}, True, "recovered"),
        ({"incident": RECOVERED, "incident_state": "open"}, False, "still_needed"),
        ({"incident_state": "closed"}, True, "incident_closed"),
        ({"now": NOW + HOUR_MS}, True, "lease_expired"),
        ({"now": NOW + HOUR_MS - 1}, False, "still_needed"),
        ({"incident": None, "incident_state": ""}, False, "still_needed"),
        ({"incident": None, "incident_state": "", "now": NOW + HOUR_MS}, True, "lease_expired"),
        ({"wanted": "undone"}, True, "undone"),
        ({"wanted": "rule_resumed"}, True, "rule_resumed"),
        ({"lease": KEPT}, False, "kept_by_person"),
        ({"lease": KEPT, "incident_state": "closed"}, False, "kept_by_person"),
        ({"lease": KEPT, "wanted": "rule_resumed"}, False, "kept_by_person"),
        ({"lease": KEPT, "wanted": "undone"}, True, "undone"),
        ({"switches": RETURNS, "incident_state": "closed"}, False, "returns_stopped"),
        ({"switches": RETURNS, "now": NOW + HOUR_MS}, False, "returns_stopped"),
        ({"switches": RETURNS, "wanted": "undone"}, True, "undone"),
        ({"switches": PAUSES, "incident_state": "closed"}, True, "incident_closed"),
    ],
)
def test_a_lease_ends_for_a_named_reason(changes: dict[str, Any], due: bool, reason: str) -> None:
    given: dict[str, Any] = {
        "lease": LEASE,
        "incident_state": "open",
        "incident": incident_payload(now=NOW),
        "wanted": "",
        "switches": frozenset(),
        "now": NOW,
        **changes,
    }
    decision = return_due(given.pop("lease"), **given)
    assert (decision.due, decision.reason) == (due, reason)
