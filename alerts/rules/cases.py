"""Unit tests beside rules: `<rule>.test.yaml`, run by `clicktrace rules test` and by pytest, through the very functions a tick uses.

A case changes what it is about and leaves the rest at a plain failing checkout (`_incident`, `_campaign`): an open incident, site failing,
95 % sure, 1,200 clicks, 24 conversions expected and 5 seen at a baseline of 2 %.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from pydantic import Field

from alerts.durations import Duration, duration
from alerts.observations import IncidentView, Observations, SourceState
from alerts.rules.facts import Facts
from alerts.rules.load import TEST_SUFFIX, read_as
from alerts.rules.schema import Rule, RuleSection
from alerts.stages import evaluate_incident, evaluate_window, hold, hold_campaign, targets
from alerts.state import RuleProgress, RuleState, advance
from core.clock import MINUTE_MS
from core.incidents import AffectedCampaign, Cost, IncidentPayload

#: Any moment does; a fixed one makes cases repeatable.
NOW = 1_790_000_000_000
_ONSET = NOW - 10 * MINUTE_MS


class Case(RuleSection):
    """One case: what is seen, and what the rule must make of it."""

    name: str = Field(min_length=1)
    state: str = "open"
    incident: dict[str, Any] = Field(default_factory=dict)
    campaigns: list[dict[str, Any]] = Field(default=[{}])
    sources: dict[str, Duration] = Field(default={"google_ads:1": duration("1m")})
    origins: dict[str, Duration] = Field(default={"backend": duration("1m")})
    behind: Duration = duration("30s")
    windows: list[dict[str, Any]] = Field(default_factory=list)
    expect: str = Field(pattern=r"^(fires|quiet|held: [a-z_]+)$")
    targets: list[str] | None = None
    held_campaigns: dict[str, str] = Field(default_factory=dict)


class CaseFile(RuleSection):
    rule: str
    cases: list[Case] = Field(min_length=1)


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` is empty when the rule did what the case expects."""

    rule: str
    case: str
    problem: str = ""


def case_file(rule_file: Path) -> Path:
    return rule_file.with_name(rule_file.name.removesuffix(".yaml") + TEST_SUFFIX)


def run_cases(rule: Rule, path: Path, problems: list[str]) -> list[CaseResult]:
    """Run a rule's cases; a file that cannot be read is added to `problems`."""
    file = read_as(CaseFile, path, problems, expected="a rule and its cases")
    if file is None:
        return []
    if file.rule != rule.rule:
        problems.append(f"{path.name}: rule: is {file.rule!r}, but the file beside it holds {rule.rule!r}")
        return []
    return [CaseResult(rule=rule.rule, case=case.name, problem=run_case(rule, case)) for case in file.cases]


def run_case(rule: Rule, case: Case) -> str:
    """Empty when the rule does what the case expects, else what it did."""
    try:
        return _run_incident(rule, case) if rule.watch == "incident" else _run_windows(rule, case)
    except (msgspec.ValidationError, TypeError) as error:
        return f"the case itself is wrong: {error}"


def _run_windows(rule: Rule, case: Case) -> str:
    progress = RuleProgress()
    for window in case.windows:
        facts: Facts = {f"{rule.watch}.{name}": float(value) for name, value in window.items() if name != "complete"}
        holds = evaluate_window(rule, facts).holds if window.get("complete", True) else None
        progress = advance(progress, holds=holds, needed=rule.for_, now=NOW)
    return _differs(case, "fires" if progress.state is RuleState.FIRING else "quiet", because="")


def _run_incident(rule: Rule, case: Case) -> str:
    view, observed = _view(case), _observed(case)
    found = evaluate_incident(rule, view, now=NOW)
    held = hold(rule.gates, view, observed) if found.holds else None
    outcome = f"held: {held.reason}" if held else "fires" if found.holds else "quiet"
    problem = _differs(case, outcome, because=found.because)
    return problem or _differs_in_targets(rule, case, view, observed)


def _differs(case: Case, outcome: str, *, because: str) -> str:
    return "" if outcome == case.expect else f"expected {case.expect!r}, got {outcome!r} ({because})"


def _differs_in_targets(rule: Rule, case: Case, view: IncidentView, observed: Observations) -> str:
    chosen = targets(rule, view)
    holds = {each.campaign: hold_campaign(rule.gates, each, observed) for each in chosen}
    held = {name: gate.reason for name, gate in holds.items() if gate}
    free = [name for name, gate in holds.items() if gate is None]
    if case.held_campaigns != {} and held != case.held_campaigns:
        return f"expected held campaigns {case.held_campaigns}, got {held}"
    if case.targets is not None and free != case.targets:
        return f"expected targets {case.targets}, got {free}"
    return ""


def _view(case: Case) -> IncidentView:
    payload = {**_incident(), **case.incident, "campaigns": [{**_campaign(), **each} for each in case.campaigns]}
    payload["complete_through"] = NOW - case.behind
    return IncidentView(
        incident_id="case",
        state=case.state,
        opened=_ONSET + 2 * MINUTE_MS,
        closed=0,
        payload=msgspec.convert(payload, IncidentPayload),
    )


def _observed(case: Case) -> Observations:
    return Observations(
        now=NOW,
        incidents={},
        sources={name: SourceState(complete_through=NOW - behind) for name, behind in case.sources.items()},
        origins={name: NOW - ago for name, ago in case.origins.items()},
        live_spend_micros={},
    )


def _campaign() -> dict[str, Any]:
    campaign = AffectedCampaign(
        campaign="google:1:2",
        platform="google",
        clicks=600.0,
        expected=12.0,
        observed=2,
        baseline_rate=0.02,
        rate=0.004,
        rate_low=0.0,
        rate_high=0.02,
        break_even_rate=0.015,
        currency="USD",
    )
    fields: dict[str, Any] = msgspec.to_builtins(campaign)
    return fields


def _incident() -> dict[str, Any]:
    cost = Cost(
        currency="USD",
        exposed_micros=20_000_000,
        wasted_micros=15_000_000,
        exposed_per_hour_micros=120_000_000,
        wasted_per_hour_micros=90_000_000,
        wasted_per_hour_low_micros=60_000_000,
        wasted_per_hour_high_micros=110_000_000,
    )
    payload = IncidentPayload(
        incident_id="case",
        title="Conversions down",
        sentence="Conversions fell.",
        verdict="site_failing",
        confidence=0.95,
        alternatives={},
        direction="drop",
        hypothesis="arrival",
        scope={"device": "mobile"},
        stream="device=mobile",
        onset=_ONSET,
        onset_low=_ONSET,
        onset_high=_ONSET,
        detected=_ONSET + 2 * MINUTE_MS,
        complete_through=NOW,
        expected=24.0,
        observed=5,
        lost_share=0.8,
        lost_share_low=0.5,
        lost_share_high=0.95,
        clicks=1200.0,
        baseline_rate=0.02,
        rate=0.004,
        rate_low=0.001,
        rate_high=0.01,
        cost=cost,
    )
    fields: dict[str, Any] = msgspec.to_builtins(payload)
    return fields
