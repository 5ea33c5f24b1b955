"""What alerts there are to tell, to whom, and whether it is news: the stages `deduplicate` and `notify`.

An incident has its own alert, and follow-up alerts with names of their own in the same scope. They are alerts and not annotations because
Alertmanager tells of a group again when an alert joins or leaves it, and of a changed annotation only after `repeat_interval`:

    <name of the rule's alert step>   what happened; fires while the incident lasts
    PauseApprovalNeeded               a question waits for a person
    PauseByHand                       a campaign should be paused where we cannot write
    CampaignsPaused                   we hold campaigns paused; resolved = they run again
    ActionFailed                      a write failed or is not confirmed: a person must look
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import msgspec
import structlog

from alerts import destinations, message
from alerts.actions.base import Action
from alerts.actions.guard import BY_HAND_REASONS
from alerts.approval import ApprovalLinks
from alerts.config import AlertsConfig
from alerts.destinations import HostView
from alerts.metrics import NOTIFICATIONS
from alerts.notify.base import Notification, Notifier
from alerts.observations import IncidentView
from alerts.rule_states import Sent, Standing
from alerts.rules.facts import Facts
from alerts.rules.schema import AlertStep, Rule
from alerts.stages import Hold, NotifyReason, deduplicate, requests
from alerts.state import ActionState
from core.errors import SourceError
from core.money import to_decimal

log = structlog.get_logger(__name__)

APPROVAL_NEEDED = "PauseApprovalNeeded"
BY_HAND = "PauseByHand"
PAUSED = "CampaignsPaused"
FAILED = "ActionFailed"
REFRESHES_UNTIL_END = 3


def is_waiting(action: Action, incident_state: str) -> bool:
    return action.state is ActionState.AWAITING and incident_state != "closed"


def is_by_hand(action: Action, incident_state: str) -> bool:
    by_hand = action.state is ActionState.BY_HAND and action.reason in BY_HAND_REASONS
    return by_hand and incident_state != "closed"


def is_paused(action: Action, _incident_state: str) -> bool:
    return action.state in (ActionState.PAUSED, ActionState.RETURNING) and not action.kept_by


def needs_a_look(action: Action, incident_state: str) -> bool:
    """A pause that failed matters while the fault lasts; not knowing, or a return that does not succeed, matters always."""
    if action.state is ActionState.FAILED:
        return incident_state != "closed"
    held = action.state in (ActionState.PAUSED, ActionState.RETURNING)
    return action.state is ActionState.UNCONFIRMED or (held and bool(action.escalated))


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that exists while actions of an incident are in some state; `fires` takes the action and the incident's state."""

    alertname: str
    severity: str
    fires: Callable[[Action, str], bool]
    summary: str
    ended: str

    def text(self, concerned: Sequence[Action]) -> str:
        """The summary while actions are concerned, and what is true once none is."""
        return self.summary.format(names=message.names(concerned)) if concerned else self.ended


FOLLOW_UPS: tuple[FollowUp, ...] = (
    FollowUp(
        alertname=APPROVAL_NEEDED,
        severity="critical",
        fires=is_waiting,
        summary="Decide: pause {names}?",
        ended="Decided: no pause waits for an answer",
    ),
    FollowUp(
        alertname=BY_HAND,
        severity="critical",
        fires=is_by_hand,
        summary="Pause by hand: {names}",
        ended="Nothing is left to pause by hand",
    ),
    FollowUp(
        alertname=PAUSED,
        severity="info",
        fires=is_paused,
        summary="Paused for now: {names}",
        ended="No campaign is waiting to be switched back on",
    ),
    FollowUp(
        alertname=FAILED,
        severity="critical",
        fires=needs_a_look,
        summary="Please look at once: {names}",
        ended="Nothing needs a look any more",
    ),
)
ALERTNAMES = tuple(each.alertname for each in FOLLOW_UPS)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fires or just ended, before anybody is told: `digest` changes when there is something new to say."""

    standing: Standing
    annotations: dict[str, str]
    generator_url: str
    digest: str


class Writer:
    """Writes drafts: labels, annotations and links of every alert."""

    def __init__(self, links: ApprovalLinks, *, config: AlertsConfig, public_url: str) -> None:
        self.config = config
        self._links = links
        self._public_url = public_url.rstrip("/")

    def incident_labels(self, alertname: str, view: IncidentView) -> dict[str, str]:
        """Fixed when the alert starts; an empty label would be dropped on the way, so there is none."""
        clients = {campaign.client for campaign in view.payload.campaigns if campaign.client}
        labels = {"alertname": alertname, "team": self.config.team, "scope": scope_hash(view.payload.scope)}
        return {**labels, "client": clients.pop()} if len(clients) == 1 else labels

    def window_labels(self, alertname: str) -> dict[str, str]:
        return {"alertname": alertname, "team": self.config.team, "scope": scope_hash({"part": "redirect"})}

    def incident(
        self,
        standing: Standing,
        view: IncidentView,
        *,
        severity: str,
        actions: Sequence[Action],
        held: Hold | None,
        summary: str = "",
    ) -> Draft:
        """The alert of an incident, or a follow-up of it with its own `summary`."""
        payload, cost = view.payload, view.payload.cost
        links = [
            self._links.url(request, expires_at=min(each.expires_at for each in asked))
            for request, asked in requests(actions).items()
        ]
        console = f"{self._public_url}/incidents/{view.incident_id}"
        annotations = {
            "summary": summary or message.summary(payload, state=view.state),
            "description": message.description(payload, actions=actions, held=held, links=links, state=view.state),
            "engineer": message.engineer(payload),
            "severity": severity,
            "verdict": payload.verdict,
            "incident_id": view.incident_id,
            "dollars_per_hour": to_decimal(cost.wasted_per_hour_micros),
            "currency": cost.currency,
            "exposed_per_hour": to_decimal(cost.exposed_per_hour_micros),
            "console_url": console,
            "runbook_url": self.runbook_url(standing.labels["alertname"]),
        }
        if links:
            annotations["approve_url"] = links[-1]
        states = sorted(f"{each.action_id}:{each.state}:{each.reason}" for each in actions)
        digest = _digest([severity, payload.verdict, view.state, summary, *states])
        return Draft(standing=standing, annotations=annotations, generator_url=console, digest=digest)

    def window(self, standing: Standing, rule: Rule, step: AlertStep, facts: Facts) -> Draft:
        """The alert of a rule that watches windows."""
        figures = ", ".join(
            f"{name.partition('.')[2]} {value:.4g}" for name, value in facts.items() if isinstance(value, float)
        )
        annotations = {
            "summary": rule.description,
            "description": f"{rule.description}. Investigate; nothing is paused for this.\nLast window: {figures or 'no hits'}.",
            "severity": step.severity,
            "console_url": self._public_url,
            "runbook_url": self.runbook_url(step.name),
        }
        return Draft(
            standing=standing, annotations=annotations, generator_url=self._public_url, digest=_digest([step.severity])
        )

    def destination_labels(self, alertname: str, view: HostView) -> dict[str, str]:
        labels = {"alertname": alertname, "team": self.config.team, "scope": scope_hash({"destination": view.host})}
        client = destinations.client(view)
        return {**labels, "client": client} if client else labels

    def destination(self, standing: Standing, step: AlertStep, view: HostView, *, spend: Mapping[str, float]) -> Draft:
        """The alert of a rule that watches destinations; `spend` = micros an hour of the campaigns that lead there, by currency."""
        currency = max(spend, key=lambda each: spend[each], default="")
        annotations = {
            "summary": destinations.summary(view),
            "description": destinations.description(view, spend_micros_per_hour=spend),
            "severity": step.severity,
            "dollars_per_hour": to_decimal(round(spend.get(currency, 0.0))),
            "currency": currency,
            "console_url": self._public_url,
            "runbook_url": self.runbook_url(step.name),
        }
        digest = _digest([step.severity, *destinations.digest_parts(view)])
        return Draft(standing=standing, annotations=annotations, generator_url=self._public_url, digest=digest)

    def runbook_url(self, alertname: str) -> str:
        return f"{self.config.runbook_url.rstrip('/') or f'{self._public_url}/runbooks'}/{alertname}"


class Outbox:
    """Decides who is told what, and tells them. With an Alertmanager the direct notifiers are only its stand-ins."""

    def __init__(self, *, alertmanager: Notifier | None, direct: Sequence[Notifier], config: AlertsConfig) -> None:
        self._alertmanager = alertmanager
        self._direct = list(direct)
        self._config = config

    def tell(self, drafts: Sequence[Draft], *, now: int) -> list[Standing]:
        """Send what is news; returns the standings with what was told noted in them."""
        standings = {_key(draft): draft.standing for draft in drafts}
        reachable = self._alertmanager is not None and self._send(
            self._alertmanager, drafts, standings, now=now, note=""
        )
        for notifier in self._direct:
            note = "" if self._alertmanager is None else "Sent directly, because Alertmanager does not answer."
            # Whoever was told directly is also told directly that it is over.
            wanted = [
                d for d in drafts if not reachable or (notifier.name in d.standing.sent and not d.standing.firing)
            ]
            self._send(notifier, wanted, standings, now=now, note=note)
        return list(standings.values())

    def close(self) -> None:
        for notifier in [*([self._alertmanager] if self._alertmanager else []), *self._direct]:
            notifier.close()

    def _send(
        self,
        notifier: Notifier,
        drafts: Sequence[Draft],
        standings: dict[tuple[str, str], Standing],
        *,
        now: int,
        note: str,
    ) -> bool:
        reasons = {_key(draft): self._reason(notifier, draft, now=now) for draft in drafts}
        due = [draft for draft in drafts if reasons[_key(draft)] != "nothing_new"]
        if not due:
            return True
        try:
            notifier.send([self._notification(draft, now=now, note=note) for draft in due])
        except SourceError as error:
            log.warning("alerts not delivered", notifier=notifier.name, alerts=len(due), error=str(error))
            self._count(notifier, due, reasons, outcome="transient" if error.retryable else "permanent")
            return False
        self._count(notifier, due, reasons, outcome="delivered")
        for draft in due:
            standings[_key(draft)] = _told(standings[_key(draft)], notifier.name, draft, now=now)
        return True

    def _reason(self, notifier: Notifier, draft: Draft, *, now: int) -> NotifyReason:
        sent = draft.standing.sent.get(notifier.name)
        return deduplicate(
            firing=draft.standing.firing,
            told=sent.digest if sent else "",
            tells=draft.digest,
            sent_at=sent.at if sent else 0,
            refresh_ms=self._config.refresh if notifier.wants_refresh else self._config.repeat,
            now=now,
        )

    def _notification(self, draft: Draft, *, now: int, note: str) -> Notification:
        firing = draft.standing.firing
        return Notification(
            labels=draft.standing.labels,
            annotations={**draft.annotations, **({"delivery": note} if note else {})},
            starts_at=draft.standing.starts_at,
            ends_at=now + REFRESHES_UNTIL_END * self._config.refresh if firing else now,
            resolved=not firing,
            generator_url=draft.generator_url,
        )

    def _count(
        self, notifier: Notifier, due: Sequence[Draft], reasons: dict[tuple[str, str], NotifyReason], *, outcome: str
    ) -> None:
        for draft in due:
            NOTIFICATIONS.labels(notifier.name, reasons[_key(draft)], outcome).inc()


def scope_hash(scope: dict[str, str]) -> str:
    """A scope as a label: bounded length, the same for the same scope. 12 hex digits."""
    return sha256(msgspec.json.encode(sorted(scope.items()))).hexdigest()[:12]


def _told(standing: Standing, notifier: str, draft: Draft, *, now: int) -> Standing:
    sent = {name: each for name, each in standing.sent.items() if name != notifier}
    if draft.standing.firing:
        sent[notifier] = Sent(digest=draft.digest, at=now)
    return msgspec.structs.replace(standing, sent=sent)


def _key(draft: Draft) -> tuple[str, str]:
    return draft.standing.rule, draft.standing.subject


def _digest(parts: Sequence[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
