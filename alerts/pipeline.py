"""One tick of the alerts part: the visible list of stages, and nothing between them but the tick's own figures.

Decisions are in `stages`, `actions.guard`, `actions.lease` and `state`, all pure; this module reads, calls them in order and writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import msgspec
import structlog
from sqlalchemy import Engine

from alerts import destinations, metrics
from alerts.acting import Acting
from alerts.actions.base import Action
from alerts.actions.pause_campaign import PauseCampaign
from alerts.actions.platforms import OpenAccount, Platforms
from alerts.approval import ApprovalLinks, Decisions
from alerts.config import AlertsConfig
from alerts.destinations import HostView, read_destinations
from alerts.ledger import SOURCE, Journal, Ledger
from alerts.live_spend import new_prices
from alerts.notify.alertmanager import AlertmanagerNotifier
from alerts.notify.apprise import AppriseNotifier
from alerts.notify.base import Notifier
from alerts.notify.webhook import WebhookNotifier
from alerts.observations import IncidentView, Observations, Reader, observe, read_redirect
from alerts.outbox import FOLLOW_UPS, Draft, FollowUp, Outbox, Writer
from alerts.proposals import Proposals
from alerts.rule_states import RuleStates, Standing
from alerts.rules.facts import Facts
from alerts.rules.load import load_rules
from alerts.rules.schema import AlertStep, Rule
from alerts.stages import STAGES, Hold, evaluate_incident, evaluate_window, hold
from alerts.state import FINAL, ActionState, RuleProgress, RuleState, advance
from core.clock import Clock, now_ms
from core.control.checkpoints import Checkpoints
from core.errors import StoreError
from core.vendors.config import AccountConfig

log = structlog.get_logger(__name__)

#: A window counts as complete this long after its end when nobody says how far the journal is shipped.
SHIPPING_LAG_MS = 5_000
_UNFINISHED = frozenset(ActionState) - FINAL
REDIRECT = "redirect"


@dataclass
class Tick:
    """What one tick knows and decides; thrown away at its end."""

    now: int
    observed: Observations
    before: dict[tuple[str, str], Standing]
    standings: dict[tuple[str, str], Standing]
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    destinations: dict[str, HostView] = field(default_factory=dict)
    windows: dict[str, Facts] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)

    def standing(self, rule: str, subject: str) -> Standing:
        return self.standings.get((rule, subject)) or Standing(rule=rule, subject=subject)

    def put(self, standing: Standing) -> None:
        self.standings[standing.rule, standing.subject] = standing


class Alerts:
    """Turns incidents into messages, questions, pauses and returns. `tick` runs in one thread at a time; a second caller waits."""

    def __init__(
        self,
        store: Reader,
        control: Engine,
        journal: Journal,
        *,
        config: AlertsConfig,
        accounts: Sequence[AccountConfig],
        public_url: str,
        open_account: OpenAccount,
        clock: Clock = now_ms,
        shipped_through: Callable[[int], int] | None = None,
        rules: Sequence[Rule] | None = None,
        reporting_currency: str = "",
        rate_age_days: int = 7,
    ) -> None:
        """Raises:
        SettingsError: the rules have problems; all of them are named.
        Permanent: a notifier's address is not one.
        """
        self.ledger = Ledger(control)
        self.links = ApprovalLinks(control, public_url=public_url)
        self.decisions = Decisions(self.ledger)
        self.rules = [rule for rule in (load_rules(config.rules_dir) if rules is None else rules) if rule.enabled]
        self._store = store
        self._observe = partial(observe, prices=new_prices(), reporting=reporting_currency, rate_age_days=rate_age_days)
        self._journal = journal
        self._checkpoints = Checkpoints(control, SOURCE, clock=clock)
        self._states = RuleStates(control)
        self._platforms = Platforms(accounts, open_account)
        self._shipped_through = shipped_through or (lambda now: now - SHIPPING_LAG_MS)
        self._writer = Writer(self.links, config=config, public_url=public_url)
        self._outbox = _outbox(config, public_url=public_url)
        self._hooks = {url: WebhookNotifier(url) for rule in self.rules for url in rule.webhook_urls}
        self._proposals = Proposals(self.ledger, self._platforms, config=config)
        pause = PauseCampaign(self.ledger, self._platforms, config=config, clock=clock)
        self._acting = Acting(self.ledger, pause, self._proposals, rules=self.rules, config=config, clock=clock)
        self._one_at_a_time = Lock()
        self._stages: tuple[tuple[str, Callable[[Tick], None]], ...] = (
            ("evaluate", self._evaluate),
            ("hold", self._hold),
            ("guard", self._guard),
            ("deduplicate", self._draft),
            ("notify", self._notify),
            ("act", self._act),
            ("record", self._record),
        )
        assert tuple(name for name, _ in self._stages) == STAGES

    def tick(self, now: int) -> None:
        """Evaluate, tell and act once, with one `now` for all decisions.

        Raises:
            StoreError: the store does not answer: nothing is decided on half of the figures. What is being written or given back is
                settled all the same, because that must not wait for the store.
        """
        with self._one_at_a_time:
            before = self._states.load()
            try:
                observed = self._observe(self._store, needed=self._needed(before), now=now)
                watched = self._watched(now)
            except StoreError:
                self._acting.settle_only(now=now)
                raise
            tick = Tick(now=now, observed=observed, before=before, standings=dict(before), destinations=watched)
            for name, stage in self._stages:
                started = time.monotonic()
                stage(tick)
                metrics.STAGE_SECONDS.labels(name).observe(time.monotonic() - started)
            metrics.LAST_TICK.set(now / 1000)

    def close(self) -> None:
        """Close notifiers and platform clients; may be called twice."""
        self._outbox.close()
        for hook in self._hooks.values():
            hook.close()
        self._platforms.close()

    def _needed(self, standings: dict[tuple[str, str], Standing]) -> set[str]:
        """Incidents that something of ours still hangs on."""
        told = {
            subject
            for (_, subject), standing in standings.items()
            if standing.live and subject != REDIRECT and not destinations.is_destination(subject)
        }
        return told | {action.incident_id for action in self.ledger.find(states=_UNFINISHED)}

    def _watched(self, now: int) -> dict[str, HostView]:
        wanted = any(rule.watch == "destination" for rule in self.rules)
        return read_destinations(self._store, now=now) if wanted else {}

    # --- evaluate --------------------------------------------------------------------------------------------------------------
    def _evaluate(self, tick: Tick) -> None:
        for rule in self.rules:
            if rule.watch == "incident":
                for view in tick.observed.incidents.values():
                    self._evaluate_incident(tick, rule, view)
            elif rule.watch == "redirect":
                self._evaluate_redirect(tick, rule)
            else:
                self._evaluate_destinations(tick, rule)

    def _evaluate_incident(self, tick: Tick, rule: Rule, view: IncidentView) -> None:
        found = evaluate_incident(rule, view, now=tick.now)
        outcome = {True: "met", False: "not_met", None: "unknown"}[found.holds]
        metrics.RULE_EVALUATIONS.labels(rule.rule, outcome).inc()
        standing = tick.standing(rule.rule, view.incident_id)
        progress = advance(standing.progress, holds=found.holds, needed=rule.for_, now=tick.now)
        if progress != standing.progress:
            tick.put(msgspec.structs.replace(standing, progress=progress))

    def _evaluate_redirect(self, tick: Tick, rule: Rule) -> None:
        """Every complete window once, in order; an incomplete one neither counts nor resets."""
        standing = tick.standing(rule.rule, REDIRECT)
        # One window more than is new: its figures are told again while nothing newer is complete.
        since = max(standing.last_window - rule.window, tick.now - (rule.for_ + 2) * rule.window)
        complete_through = self._shipped_through(tick.now)
        for window in read_redirect(
            self._store, window_ms=rule.window, since=since, now=tick.now, complete_through=complete_through
        ):
            if not window.complete:
                continue
            tick.windows[rule.rule] = window.facts
            if window.start >= standing.last_window:
                found = evaluate_window(rule, window.facts)
                metrics.RULE_EVALUATIONS.labels(rule.rule, "met" if found.holds else "not_met").inc()
                progress = advance(standing.progress, holds=found.holds, needed=rule.for_, now=tick.now)
                standing = msgspec.structs.replace(standing, progress=progress, last_window=window.end)
        tick.put(standing)

    def _evaluate_destinations(self, tick: Tick, rule: Rule) -> None:
        """Every host with checks that hold; one that has none any more is over."""
        told = {subject for name, subject in tick.standings if name == rule.rule}
        for subject in sorted(told | set(tick.destinations)):
            view = tick.destinations.get(subject)
            holds = view is not None and evaluate_window(rule, view.facts).holds
            metrics.RULE_EVALUATIONS.labels(rule.rule, "met" if holds else "not_met").inc()
            standing = tick.standing(rule.rule, subject)
            progress = advance(standing.progress, holds=holds, needed=rule.for_, now=tick.now)
            if progress != standing.progress:
                tick.put(msgspec.structs.replace(standing, progress=progress))

    # --- hold ------------------------------------------------------------------------------------------------------------------
    def _hold(self, tick: Tick) -> None:
        """Close the gates: a rule that is held keeps firing, but takes no step until they open."""
        for rule, standing in self._firing(tick):
            view = tick.observed.incidents.get(standing.subject)
            if view is None:
                continue
            held = hold(rule.gates, view, tick.observed)
            if held is not None:
                tick.holds[standing.rule, standing.subject] = held
                metrics.RULE_HOLDS.labels(rule.rule, held.reason).inc()
            if standing.hold != (held.reason if held else ""):
                log.info(
                    "rule held" if held else "rule no longer held", rule=rule.rule, reason=held.reason if held else ""
                )
                tick.put(msgspec.structs.replace(standing, hold=held.reason if held else ""))

    def _firing(self, tick: Tick) -> list[tuple[Rule, Standing]]:
        by_name = {rule.rule: rule for rule in self.rules}
        return [(by_name[each.rule], each) for each in tick.standings.values() if each.firing and each.rule in by_name]

    # --- guard -----------------------------------------------------------------------------------------------------------------
    def _guard(self, tick: Tick) -> None:
        """Propose the actions of firing rules that no gate holds, with the guards' answer."""
        for rule, standing in self._firing(tick):
            view = tick.observed.incidents.get(standing.subject)
            if view is None or (standing.rule, standing.subject) in tick.holds:
                continue
            if rule.pause_step is not None:
                for action in self._proposals.propose(rule, view, tick.observed):
                    log.info("pause proposed", target=action.target, state=action.state, reason=action.reason)
            if rule.resumes:
                self._acting.want_back(view.incident_id, by=rule.rule, now=tick.now)

    # --- deduplicate, notify ---------------------------------------------------------------------------------------------------
    def _draft(self, tick: Tick) -> None:
        """What could be told now; the outbox decides for each receiver whether it is news."""
        by_incident: dict[str, list[Action]] = {}
        for action in self.ledger.find(incidents=tick.observed.incidents):
            by_incident.setdefault(action.incident_id, []).append(action)
        for view in tick.observed.incidents.values():
            actions = _newest(by_incident.get(view.incident_id, []))
            for follow_up in FOLLOW_UPS:
                self._draft_follow_up(tick, follow_up, view, actions)
        for rule in self.rules:
            for standing in [each for each in tick.standings.values() if each.rule == rule.rule and each.live]:
                self._draft_rule(tick, rule, standing, _newest(by_incident.get(standing.subject, [])))

    def _draft_rule(self, tick: Tick, rule: Rule, standing: Standing, actions: list[Action]) -> None:
        step = rule.alert_step
        held_back = (standing.rule, standing.subject) in tick.holds and not standing.sent
        if step is None or held_back:
            return
        if rule.watch == "redirect":
            standing = self._started(tick, standing, self._writer.window_labels(step.name), at=standing.progress.since)
            tick.drafts.append(self._writer.window(standing, rule, step, tick.windows.get(rule.rule, {})))
            return
        if rule.watch == "destination":
            self._draft_destination(tick, step, standing)
            return
        view = tick.observed.incidents.get(standing.subject)
        if view is not None:
            labels = self._writer.incident_labels(step.name, view)
            standing = self._started(tick, standing, labels, at=view.opened)
            held = next((h for (_, subject), h in tick.holds.items() if subject == view.incident_id), None)
            draft = self._writer.incident(standing, view, severity=step.severity, actions=actions, held=held)
            tick.drafts.append(draft)
            self._call_hooks(tick, rule, draft)

    def _draft_destination(self, tick: Tick, step: AlertStep, standing: Standing) -> None:
        view = tick.destinations.get(standing.subject) or HostView(host=destinations.host_of(standing.subject))
        labels = self._writer.destination_labels(step.name, view)
        standing = self._started(tick, standing, labels, at=standing.progress.since)
        spend = tick.observed.spend_by_currency(destinations.campaigns(view))
        tick.drafts.append(self._writer.destination(standing, step, view, spend=spend))

    def _draft_follow_up(self, tick: Tick, follow_up: FollowUp, view: IncidentView, actions: list[Action]) -> None:
        concerned = [action for action in actions if follow_up.fires(action, view.state)]
        standing = tick.standing(follow_up.alertname, view.incident_id)
        progress = advance(standing.progress, holds=bool(concerned), needed=1, now=tick.now)
        if progress.state is RuleState.INACTIVE:
            return
        standing = msgspec.structs.replace(standing, progress=progress)
        tick.put(standing)
        if standing.live:
            labels = self._writer.incident_labels(follow_up.alertname, view)
            standing = self._started(tick, standing, labels, at=tick.now)
            summary = follow_up.text(concerned)
            draft = self._writer.incident(
                standing, view, severity=follow_up.severity, actions=actions, held=None, summary=summary
            )
            tick.drafts.append(draft)

    def _started(self, tick: Tick, standing: Standing, labels: dict[str, str], *, at: int) -> Standing:
        """Fix labels and start with the first message."""
        if not standing.labels:
            standing = msgspec.structs.replace(standing, labels=labels, starts_at=at)
            tick.put(standing)
        return standing

    def _call_hooks(self, tick: Tick, rule: Rule, draft: Draft) -> None:
        for url in rule.webhook_urls:
            outbox = Outbox(alertmanager=None, direct=[self._hooks[url]], config=self._writer.config)
            for standing in outbox.tell([draft], now=tick.now):
                tick.put(standing)

    def _notify(self, tick: Tick) -> None:
        for standing in self._outbox.tell(tick.drafts, now=tick.now):
            tick.put(standing)

    # --- act, record -----------------------------------------------------------------------------------------------------------
    def _act(self, tick: Tick) -> None:
        self._acting.act(tick.observed)

    def _record(self, tick: Tick) -> None:
        """Write down where rules stand and publish the ledger; what is over and told is forgotten."""
        for key, standing in tick.standings.items():
            if standing.progress.state is RuleState.RESOLVED and not standing.sent:
                over = msgspec.structs.replace(standing, progress=RuleProgress(), labels={}, starts_at=0, hold="")
                tick.standings[key] = over
        self._states.save(tick.before, tick.standings)
        self.ledger.publish(self._journal, self._checkpoints)
        for rule in self.rules:
            firing = sum(1 for each in tick.standings.values() if each.rule == rule.rule and each.firing)
            metrics.RULES_FIRING.labels(rule.rule).set(firing)
        metrics.OPEN_QUESTIONS.set(len(self.ledger.find(states=[ActionState.AWAITING])))
        metrics.OPEN_LEASES.set(len(self.ledger.leases()))


def _outbox(config: AlertsConfig, *, public_url: str) -> Outbox:
    direct: list[Notifier] = []
    if config.webhook_url:
        direct.append(WebhookNotifier(config.webhook_url, console_url=public_url))
    if config.apprise_urls:
        direct.append(AppriseNotifier(config.apprise_urls))
    manager = (
        AlertmanagerNotifier(config.alertmanager_url, token=config.alertmanager_token)
        if config.alertmanager_url
        else None
    )
    return Outbox(alertmanager=manager, direct=direct, config=config)


def _newest(actions: Sequence[Action]) -> list[Action]:
    """The latest attempt for each campaign: an expired question is not told beside the one that replaced it."""
    latest: dict[tuple[str, str], Action] = {}
    for action in sorted(actions, key=lambda each: each.attempt):
        latest[action.rule, action.target] = action
    return sorted(latest.values(), key=lambda each: each.target)
