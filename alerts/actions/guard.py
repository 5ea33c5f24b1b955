"""Guards: everything that must be true before anything is written to an ad platform.

Each guard is a small pure function from what is known to a `Finding`: how many people must approve (0 = none, None = it may not be done),
with its word. `GUARDS` is the visible order. All of them are evaluated and written to the ledger, passed or not; the strictest counts,
and of equals the first. They run when an action is proposed and again, with fresh figures, right before the write.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from alerts.actions.base import Finding, parse_target
from alerts.config import GuardsConfig, MaintenanceWindow, Mode
from alerts.durations import format_duration
from alerts.economics import pause_balance
from core.clock import parse_rfc3339
from core.errors import Invalid
from core.incidents import AffectedCampaign, IncidentPayload
from core.money import MICROS

STOP_PAUSES = "stop_pauses"
STOP_RETURNS = "stop_returns"
SWITCHES = (STOP_PAUSES, STOP_RETURNS)


class GuardInput(msgspec.Struct, frozen=True, kw_only=True):
    """All that the guards look at. Money is micros per hour of the campaign's currency, times are ms."""

    now: int
    mode: Mode
    config: GuardsConfig
    incident_state: str
    incident: IncidentPayload
    campaign: AffectedCampaign
    account_known: bool
    client_exists: bool  # core.vendors has a client for the platform
    sandbox: bool
    switches: frozenset[str]
    paused_campaigns_last_hour: int  # this one not counted
    paused_spend_last_hour: float
    spend_per_hour: float
    live_spend_per_hour: float  # of all campaigns, what was paused in the last hour left out
    ended_at: int  # when our last pause of this campaign ended, 0 = never
    last_conversion: int  # when the newest conversion of any scope arrived, 0 = none lately


Guard = Callable[[GuardInput], Finding]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What all guards together say."""

    needs: int | None
    reason: str
    text: str
    findings: list[Finding]


def rule_on(given: GuardInput) -> Ruling:
    """Every guard's finding, and the strictest of them."""
    findings = [guard(given) for guard in GUARDS]
    forbidding = [each for each in findings if each.needs is None]
    strictest = forbidding[0] if forbidding else max(findings, key=lambda each: each.needs or 0)
    return Ruling(needs=strictest.needs, reason=strictest.reason, text=strictest.text, findings=findings)


def campaign_left() -> Ruling:
    """What is said of a campaign that the incident does not name any more."""
    finding = _never("incident_open", "campaign_left", "the incident does not touch this campaign any more")
    return Ruling(needs=None, reason=finding.reason, text=finding.text, findings=[finding])


def qualified(given: GuardInput) -> Finding:
    try:
        parse_target(given.campaign.campaign)
    except Invalid as error:
        return _never("qualified", error.reason, error.detail)
    return _pass("qualified")


def client(given: GuardInput) -> Finding:
    if not given.account_known:
        return _never("client", "unknown_account", "this account is not set up here: pause by hand")
    if not given.client_exists:
        return _never(
            "client", "no_platform_client", f"there is no client for {given.campaign.platform}: pause by hand"
        )
    return _pass("client")


def switch(given: GuardInput) -> Finding:
    if given.switches & {STOP_PAUSES, STOP_RETURNS}:
        return _never("switch", "pauses_stopped", "a person has stopped all pauses")
    return _pass("switch")


def mode(given: GuardInput) -> Finding:
    if given.mode == "observe":
        return _never("mode", "observe_mode", "observe mode: written down, not done")
    if given.mode == "approve":
        return _ask("mode", "approval_required", "approve mode: a person decides")
    return _pass("mode")


def track_record(given: GuardInput) -> Finding:
    """Automatic needs a track record, which is not kept yet; an account marked as sandbox needs none, and the ledger says so."""
    if given.mode != "automatic":
        return _pass("track_record")
    if given.sandbox:
        return Finding(
            guard="track_record", needs=0, reason="sandbox_exempt", text="sandbox account: exempt from the track record"
        )
    return _ask("track_record", "no_track_record", "no proven precision for this rule yet: a person decides")


def allow_list(given: GuardInput) -> Finding:
    target = given.campaign.campaign
    if any(fnmatchcase(target, pattern) for pattern in given.config.allowed_campaigns):
        return _pass("allow_list")
    return _never("allow_list", "not_allowed", "the campaign is not on the list of those we may write to")


def incident_open(given: GuardInput) -> Finding:
    recovered = given.incident.recovery is not None and given.incident.recovery.recovered
    if given.incident_state != "open" or recovered:
        return _never("incident_open", "incident_over", "the incident is recovering or closed")
    return _pass("incident_open")


def verdict(given: GuardInput) -> Finding:
    if given.incident.verdict not in given.config.allowed_verdicts:
        return _never("verdict", "verdict_not_allowed", f"the verdict {given.incident.verdict} does not allow a pause")
    return _pass("verdict")


def sales(given: GuardInput) -> Finding:
    if not given.campaign.loses_sales:
        return _never("sales", "keeps_sales", "its buyers still arrive: only tracking is lost")
    return _pass("sales")


def confidence(given: GuardInput) -> Finding:
    least = given.config.automatic_minimum_confidence
    if given.incident.confidence < least:
        return _ask(
            "confidence",
            "low_confidence",
            f"the verdict is only {given.incident.confidence:.0%} sure (needs {least:.0%})",
        )
    return _pass("confidence")


def break_even(given: GuardInput) -> Finding:
    if not given.campaign.break_even_rate:
        return _ask("break_even", "break_even_unknown", "its margin is not known, so neither is its break-even")
    return _pass("break_even")


def worth_it(given: GuardInput) -> Finding:
    if not given.config.ask_when_pause_costs_more:
        return _pass("worth_it")
    balance = pause_balance(given.campaign, given.incident)
    if balance is not None and balance.given_up_micros >= balance.saved_micros:
        return _ask("worth_it", "pause_costs_more", "pausing gives up more healthy traffic than it saves")
    return _pass("worth_it")


def conversions_arrive(given: GuardInput) -> Finding:
    silent = given.now - given.last_conversion
    if silent > given.config.conversions_silent:
        limit = format_duration(given.config.conversions_silent)
        return _ask(
            "conversions_arrive", "conversions_silent", f"no conversion arrived from anywhere for {limit}: feed dead?"
        )
    return _pass("conversions_arrive")


def maintenance(given: GuardInput) -> Finding:
    if any(_covers(window, given) for window in given.config.maintenance_windows):
        return _never("maintenance", "maintenance_window", "a maintenance window is open")
    return _pass("maintenance")


def cool_down(given: GuardInput) -> Finding:
    if given.ended_at and given.now - given.ended_at < given.config.cool_down:
        length = format_duration(given.config.cool_down)
        return _ask("cool_down", "cool_down", f"our last pause of it ended less than {length} ago")
    return _pass("cool_down")


def campaigns_per_hour(given: GuardInput) -> Finding:
    if given.paused_campaigns_last_hour + 1 > given.config.max_campaigns_per_hour:
        limit = given.config.max_campaigns_per_hour
        return _two("campaigns_per_hour", "campaigns_per_hour", f"more than {limit} campaigns within an hour")
    return _pass("campaigns_per_hour")


def spend_share(given: GuardInput) -> Finding:
    total = given.live_spend_per_hour + given.paused_spend_last_hour
    limit = given.config.max_spend_share_per_hour
    if limit >= 1:
        return _pass("spend_share")
    if total <= 0:
        return _two("spend_share", "spend_unknown", "live spend is not known, so its share is not either")
    if (given.paused_spend_last_hour + given.spend_per_hour) / total > limit:
        return _two("spend_share", "spend_share", f"more than {limit:.0%} of live spend within an hour")
    return _pass("spend_share")


def second_approver(given: GuardInput) -> Finding:
    limit = given.config.second_approver_above
    if limit > 0 and given.spend_per_hour > limit * MICROS:
        return _two("second_approver", "second_approver", f"it spends more than {limit:g} an hour")
    return _pass("second_approver")


#: In the order a person would ask: may we at all, is it right, is it safe, is it too much.
GUARDS: tuple[Guard, ...] = (
    qualified,
    client,
    allow_list,
    incident_open,
    verdict,
    sales,
    mode,
    switch,
    maintenance,
    track_record,
    confidence,
    break_even,
    worth_it,
    conversions_arrive,
    cool_down,
    campaigns_per_hour,
    spend_share,
    second_approver,
)

#: Forbidden for good: a person has to do it on the platform, if at all.
BY_HAND_REASONS = frozenset({"unknown_account", "no_platform_client"})
#: What was asked for is not wanted any more, whoever approved it.
ENDING_REASONS = frozenset({"incident_over", "verdict_not_allowed", "keeps_sales", "campaign_left"})


def _covers(window: MaintenanceWindow, given: GuardInput) -> bool:
    inside = parse_rfc3339(window.start) <= given.now < parse_rfc3339(window.end)
    return inside and any(fnmatchcase(given.campaign.campaign, pattern) for pattern in window.campaigns)


def _pass(name: str) -> Finding:
    return Finding(guard=name, needs=0)


def _ask(name: str, reason: str, text: str) -> Finding:
    return Finding(guard=name, needs=1, reason=reason, text=text)


def _two(name: str, reason: str, text: str) -> Finding:
    return Finding(guard=name, needs=2, reason=reason, text=text)


def _never(name: str, reason: str, text: str) -> Finding:
    return Finding(guard=name, needs=None, reason=reason, text=text)
