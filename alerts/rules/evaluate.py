"""Pure: does a condition hold for these facts, and which comparison decided.

Three-valued (Kleene): a fact that is not known makes its comparison unknown, `not` of unknown is unknown, and a rule fires only on
true. So a missing margin or an empty window can never be read as "below the limit", nor, under `not`, as the opposite.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from alerts.rules.facts import Facts, FactValue
from alerts.rules.schema import Condition, RuleScope

#: 14 of 20 must be "at most 0.7" whatever binary fractions make of the division.
RELATIVE_TOLERANCE = 1e-9


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """True, False or None (unknown), and the comparison that decided it, in words."""

    holds: bool | None
    because: str


def evaluate(condition: Condition, facts: Facts) -> Evaluation:
    """Whether `condition` holds."""
    if condition.all is not None:
        return _first_of([evaluate(each, facts) for each in condition.all], deciding=False)
    if condition.any is not None:
        return _first_of([evaluate(each, facts) for each in condition.any], deciding=True)
    if condition.not_ is not None:
        inner = evaluate(condition.not_, facts)
        return Evaluation(holds=None if inner.holds is None else not inner.holds, because=f"not ({inner.because})")
    return _compare(condition, facts.get(condition.fact))


def in_scope(scope: RuleScope, *, campaign: str, platform: str, client: str) -> bool:
    """True when the campaign matches one pattern of each list."""
    return (
        any(fnmatchcase(campaign, pattern) for pattern in scope.campaigns)
        and any(fnmatchcase(platform, pattern) for pattern in scope.platforms)
        and any(fnmatchcase(client, pattern) for pattern in scope.clients)
    )


def _first_of(parts: list[Evaluation], *, deciding: bool) -> Evaluation:
    """`deciding` = False is *all*: one False decides. `deciding` = True is *any*: one True decides."""
    for wanted in (deciding, None):
        for part in parts:
            if part.holds is wanted:
                return part
    return Evaluation(holds=not deciding, because="; ".join(part.because for part in parts))


def _compare(condition: Condition, value: FactValue) -> Evaluation:
    operator = condition.operators[0]
    wanted = getattr(condition, operator)
    text = f"{condition.fact} = {_show(value)}, wanted {operator} {_show(wanted)}"
    if operator == "known":
        return Evaluation(holds=(value is not None) is wanted, because=text)
    if value is None:
        return Evaluation(holds=None, because=text)
    if operator == "equals":
        return Evaluation(holds=value == wanted, because=text)
    if operator == "one_of":
        return Evaluation(holds=value in wanted, because=text)
    return Evaluation(holds=_ordered(operator, float(value), float(wanted)), because=text)


def _ordered(operator: str, value: float, limit: float) -> bool:
    margin = RELATIVE_TOLERANCE * max(abs(value), abs(limit))
    match operator:
        case "at_least":
            return value >= limit - margin
        case "at_most":
            return value <= limit + margin
        case "above":
            return value > limit + margin
        case _:
            return value < limit - margin


def _show(value: object) -> str:
    return "unknown" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
