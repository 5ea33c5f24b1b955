"""The shipped pause rule, asked through its pure stages whether it would pause, and which campaigns.

Sources are fresh and the origin has just been heard of: what is judged is the rule, not whether a platform answers.
"""

from __future__ import annotations

from typing import Final

from alerts.observations import IncidentView, Observations, SourceState
from alerts.rules.load import load_rules
from alerts.rules.schema import Rule
from alerts.stages import evaluate_incident, hold, hold_campaign, targets
from core.incidents import IncidentPayload

RULE: Final = "pause_failing_campaigns"


class PauseRule:
    """The rule as it ships."""

    def __init__(self) -> None:
        self._rule: Rule = next(rule for rule in load_rules() if rule.rule == RULE)

    def asks_for(self, payload: IncidentPayload, *, origin: str, now: int) -> list[str]:
        """Campaigns that the rule would pause now for this open incident."""
        sources = {
            f"{campaign.platform}_ads:{campaign.campaign.split(':')[1]}": SourceState(complete_through=now)
            for campaign in payload.campaigns
        }
        observed = Observations(now=now, incidents={}, sources=sources, origins={origin: now}, live_spend_micros={})
        view = IncidentView(
            incident_id=payload.incident_id, state="open", opened=payload.detected, closed=0, payload=payload
        )
        if not evaluate_incident(self._rule, view, now=now).holds or hold(self._rule.gates, view, observed):
            return []
        chosen = targets(self._rule, view)
        return [each.campaign for each in chosen if hold_campaign(self._rule.gates, each, observed) is None]
