"""Where a hit goes, as a pure function of the link's plan, the visitor and the time.

The order, and the last word of each end:

1. **disabled**: 410 (`disabled`),
2. **answer: unavailable**: 503 (`unavailable`); both are decided when the link is prepared (`redirect.live_link`),
3. **schedule**: before `starts`, from `expires` on, or with `max_clicks` reached the hit goes to the link's `fallback`; without one it
   is a lost click: 404 `not_started`, 410 `expired`, 410 `max_clicks_reached`,
4. **rules** in the order written: the first whose conditions all hold,
5. **weights** of that rule, or of the link when no rule holds: a sticky draw per visitor (`redirect.weights`),
6. the rule's, else the link's own **destination**.

The trace has one entry per step and ends with where the hit went:

    schedule:open | schedule:not_started | schedule:expired | schedule:max_clicks_reached    only for links that have a schedule
    rule:<name>:<first condition that does not hold> | rule:<name>:holds                     one per rule that was tried
    signature:parameters_unsigned | signature:parameters_tampered                            what `redirect.signing` flags
    signature:signature_missing | signature:signature_invalid | signature:signature_expired  what it refuses
    destination | rule_destination | variant:<name> | fallback | signed                      where the hit was to go
    disabled | unavailable | destination_not_allowed | rate_limited                          why it went nowhere, if no step said so
    lost                                                                                     the end of every lost click

Its words are in `redirect.reasons`. A plain link that redirects, which has none of these, has no trace: it went to the destination of the
link's version.
"""

from __future__ import annotations

from redirect import reasons
from redirect.plan import Decision, Plan, Step, ended
from redirect.visitor import Visitor


def resolve(plan: Plan, visitor: Visitor, *, now: int, key: str, exhausted: bool) -> Decision:
    """Walk through a plan.

    Args:
        now: milliseconds since the epoch.
        key: hex digits that stay with the visitor: their visitor ID, or the click ID of who has none.
        exhausted: the link had its `max_clicks`.
    """
    trace: list[str] = []
    if plan.scheduled:
        word = schedule(plan, now=now, exhausted=exhausted)
        trace.append(f"schedule:{word}")
        if word != reasons.OPEN:
            return _closed(plan, word, trace)
    choices = plan.choices
    for step in plan.steps:
        failing = first_failing(step, visitor, now=now)
        trace.append(f"rule:{step.name}:{failing or reasons.HOLDS}")
        if not failing:
            choices = step.choices
            break
    word, target = choices.choose(key)
    trace.append(word)
    if target.outcome != reasons.REDIRECTED:
        trace += (target.outcome, reasons.LOST)
    return Decision(target, tuple(trace))


def schedule(plan: Plan, *, now: int, exhausted: bool) -> str:
    """`open`, or why not. A link that is over stays over, whatever its clicks; one that has not begun has none."""
    if now < plan.starts:
        return reasons.NOT_STARTED
    if plan.expires and now >= plan.expires:
        return reasons.EXPIRED
    return reasons.MAX_CLICKS_REACHED if plan.max_clicks and exhausted else reasons.OPEN


def first_failing(step: Step, visitor: Visitor, *, now: int) -> str:
    """The first condition of a rule that does not hold, "" when all do."""
    for condition in step.conditions:
        failing = condition(visitor, now)
        if failing:
            return failing
    return ""


def _closed(plan: Plan, word: str, trace: list[str]) -> Decision:
    if plan.fallback is not None:
        return ended(plan.fallback, (*trace, reasons.FALLBACK))
    return Decision(plan.lost[word], (*trace, reasons.LOST))
