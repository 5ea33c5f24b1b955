"""What is wrong with a rule although its types are right: unknown facts, comparisons that cannot be, unsafe automation.

Every finding is ``field: sentence``; any finding keeps the rule from being loaded.
"""

from __future__ import annotations

from collections.abc import Iterator

from alerts.rules.facts import CAMPAIGN_FACTS, CATALOGUE, DESTINATION_FACTS, INCIDENT_FACTS, REDIRECT_FACTS
from alerts.rules.schema import NUMBER_OPERATORS, Condition, Rule
from core.near import hint

_BY_WATCH = {"incident": INCIDENT_FACTS, "redirect": REDIRECT_FACTS, "destination": DESTINATION_FACTS}


def lint(rule: Rule) -> list[str]:
    """Everything wrong with one rule."""
    return [
        *_conditions(rule.when, "when", allowed=_BY_WATCH[rule.watch]),
        *(_conditions(rule.campaigns, "campaigns", allowed=CAMPAIGN_FACTS) if rule.campaigns else ()),
        *_steps(rule),
        *_automation(rule),
    ]


def lint_set(rules: list[Rule]) -> list[str]:
    """What is wrong with rules together: a question that no message carries is never answered."""
    live = [rule for rule in rules if rule.enabled]
    pauses = [rule.rule for rule in live if rule.pause_step]
    messages = any(rule.watch == "incident" and rule.alert_step for rule in live)
    if pauses and not messages:
        return [f"{pauses[0]}: steps: it pauses, but no enabled rule alerts on incidents, so nobody would be asked"]
    return []


def _conditions(condition: Condition, field: str, *, allowed: dict[str, tuple[type, str]]) -> Iterator[str]:
    for name in ("all", "any"):
        for index, each in enumerate(getattr(condition, name) or ()):
            yield from _conditions(each, f"{field}.{name}.{index}", allowed=allowed)
    if condition.not_ is not None:
        yield from _conditions(condition.not_, f"{field}.not", allowed=allowed)
    if condition.fact:
        yield from _fact(condition, field, allowed=allowed)


def _fact(condition: Condition, field: str, *, allowed: dict[str, tuple[type, str]]) -> Iterator[str]:
    if condition.fact not in allowed:
        known_elsewhere = " here" if condition.fact in CATALOGUE else ""
        yield f"{field}.fact: there is no fact {condition.fact!r}{known_elsewhere}{hint(condition.fact, allowed)}"
        return
    kind = allowed[condition.fact][0]
    operator = condition.operators[0]
    if operator in NUMBER_OPERATORS and kind is not float:
        yield f"{field}.{operator}: {condition.fact} is not a number"
    for value in [condition.equals] if condition.equals is not None else condition.one_of or []:
        fits = isinstance(value, kind) if kind is not float else isinstance(value, (int, float))
        if not fits or (kind is float and isinstance(value, bool)):
            yield f"{field}.{operator}: {value!r} cannot equal {condition.fact}, which is a {kind.__name__}"


def _steps(rule: Rule) -> Iterator[str]:
    if rule.watch != "incident" and (rule.pause_step or rule.resumes):
        yield f"steps: a rule that watches the {rule.watch} cannot pause or resume campaigns"
    if rule.watch != "incident" and rule.gates != type(rule.gates)():
        yield f"gates: a rule that watches the {rule.watch} has none: a window that is not complete never counts"
    if rule.campaigns is not None and not rule.pause_step:
        yield "campaigns: only a pause step uses it"
    if rule.alert_step and rule.runbook not in ("", rule.alert_step.name):
        yield f"runbook: the page of an alert has its name, {rule.alert_step.name}"
    if rule.pause_step and rule.resumes:
        yield "steps: one rule cannot both pause and resume"
    if rule.pause_step and rule.for_ > 1:
        yield "for: an incident is tested sequentially already; a pause rule has no windows"


def _automation(rule: Rule) -> Iterator[str]:
    """A rule that may write without a person must name what it relies on."""
    if rule.mode != "automatic" or not rule.pause_step:
        return
    if rule.gates.minimum_clicks <= 0:
        yield "gates.minimum_clicks: an automatic pause needs one"
    if rule.gates.complete_within is None:
        yield "gates.complete_within: an automatic pause needs one, or it may act on data that has not arrived"
    named = {leaf.fact for leaf in _leaves(rule.when)} | {leaf.fact for leaf in _leaves(rule.campaigns)}
    for fact in ("incident.verdict", "campaign.loses_sales", "campaign.upper_to_break_even"):
        if fact not in named:
            yield f"when: an automatic pause needs a condition on {fact}"


def _leaves(condition: Condition | None) -> Iterator[Condition]:
    if condition is None:
        return
    if condition.fact:
        yield condition
    for each in [*(condition.all or ()), *(condition.any or ()), *([condition.not_] if condition.not_ else ())]:
        yield from _leaves(each)
