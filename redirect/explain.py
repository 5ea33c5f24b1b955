"""Why a hit would go where it goes, rule by rule in words: the same plan and the same decision as the hot path, told at length."""

from __future__ import annotations

from typing import Final

import msgspec

from core.clock import parse_rfc3339, to_rfc3339
from core.identity import derive_from_values, first_values
from redirect import params, reasons
from redirect.conditions import compile_conditions
from redirect.links.model import Link
from redirect.links.routing import PRESENT, Rule, Variant, When
from redirect.live_link import LiveLink
from redirect.plan import Decision, Plan
from redirect.resolve import resolve, schedule
from redirect.visitor import describe_agent, language_prefixes

#: In the Location, in place of what every hit gets anew.
NEW_CLICK_ID: Final = "<click-id>"
#: Who draws a variant when nobody was named.
ANYBODY: Final = "0" * 32
_UNSAID: Final = "not said"


class StatedVisitor(msgspec.Struct, frozen=True, kw_only=True):
    """A visitor as somebody describes them. `country_code` None = there is no country database."""

    device: str = "other"
    os: str = "other"
    language: str = ""
    country_code: str | None = ""
    query: dict[bytes, bytes] = {}

    @property
    def languages(self) -> frozenset[str]:
        return language_prefixes(self.language)

    def country(self, now: int) -> str | None:
        return self.country_code

    def parameter(self, name: bytes) -> bytes | None:
        return self.query.get(name)


class ExplainedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the order of `redirect.resolve`. `result` is its word in the trace, or `not_tried`."""

    step: str
    result: str
    why: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`location` is "" for a lost click; `trace` is what the click's record would say."""

    slug: str
    version: int
    at: str
    outcome: str
    http_status: int
    location: str
    variant: str
    trace: tuple[str, ...]
    steps: tuple[ExplainedStep, ...]


def state_visitor(*, device: str, os: str, language: str, country: str, user_agent: str, query: bytes) -> StatedVisitor:
    """A visitor from what was said; device and system that were not said are those of the user agent."""
    seen = describe_agent(user_agent.encode()) if user_agent and not (device and os) else ("other", "other")
    return StatedVisitor(
        device=device.lower() or seen[0],
        os=os.lower() or seen[1],
        language=language,
        country_code=country.upper(),
        query=first_values(query),
    )


def explain(
    link: Link, live: LiveLink, visitor: StatedVisitor, *, query: bytes, now: int, visitor_id: str, exhausted: bool
) -> Explanation:
    """What would happen to a hit.

    Args:
        live: `link`, prepared.
        query: the raw query of the hit.
        now: milliseconds since the epoch.
        visitor_id: draws the variant; "" = an arbitrary visitor, which the explanation says.
        exhausted: the link had its `max_clicks`.
    """
    plan, decision = live.plan, live.decision
    steps = _plain(link, live)
    if plan is not None:
        decision = resolve(plan, visitor, now=now, key=visitor_id or ANYBODY, exhausted=exhausted)
        steps = _routed(link, plan, decision, visitor, now=now, exhausted=exhausted, known=bool(visitor_id))
    target = decision.target
    if live.parallel:
        why = "The platform sends buyers straight to the ad's page: rules and variants move only those who really come through here."
        steps = (ExplainedStep(step="parallel tracking", result="parallel", why=why), *steps)
    return Explanation(
        slug=link.definition.slug,
        version=link.version,
        at=to_rfc3339(now),
        outcome=target.outcome,
        http_status=target.status,
        location=_location(live, decision, query) if target.outcome == reasons.REDIRECTED else "",
        variant=_variant(decision),
        trace=decision.trace,
        steps=(*steps, _end(decision)),
    )


# --- step by step --------------------------------------------------------------------------------------------------------------


def _plain(link: Link, live: LiveLink) -> tuple[ExplainedStep, ...]:
    outcome = live.decision.target.outcome
    if outcome == reasons.DISABLED:
        return (ExplainedStep(step="disabled", result=outcome, why="The link is switched off; nothing else counts."),)
    if outcome == reasons.UNAVAILABLE:
        why = "The link's answer is set to unavailable; its rules do not count."
        return (ExplainedStep(step="answer", result=outcome, why=why),)
    return ()


def _routed(
    link: Link, plan: Plan, decision: Decision, visitor: StatedVisitor, *, now: int, exhausted: bool, known: bool
) -> tuple[ExplainedStep, ...]:
    definition, steps = link.definition, []
    is_open = True
    if plan.scheduled:
        word = schedule(plan, now=now, exhausted=exhausted)
        is_open = word == reasons.OPEN
        steps.append(ExplainedStep(step="schedule", result=word, why=_schedule_sentence(link, word, now=now)))
    drawn: tuple[Variant, ...] = definition.variants
    waiting = is_open
    for rule in definition.rules:
        step = _rule(rule, visitor, now=now, waiting=waiting, is_open=is_open)
        steps.append(step)
        if step.result == reasons.HOLDS:
            waiting, drawn = False, rule.variants
    if definition.sign == "destination":
        why = "A signed destination in the query (ct_to, ct_exp, ct_sig) would win; signatures are not checked here."
        steps.append(ExplainedStep(step="signature", result=reasons.NOT_TRIED, why=why))
    if is_open and drawn:
        steps.append(_draw(drawn, _variant(decision), known=known))
    return tuple(steps)


def _rule(rule: Rule, visitor: StatedVisitor, *, now: int, waiting: bool, is_open: bool) -> ExplainedStep:
    name = f"rule {rule.name}"
    if not waiting:
        why = "An earlier rule holds already." if is_open else "The schedule decided already."
        return ExplainedStep(step=name, result=reasons.NOT_TRIED, why=why)
    failing = [(part, word) for part in _parts(rule.when) if (word := _failing(part, visitor, now=now))]
    if not failing:
        met = ", ".join(_is(part, visitor, now=now) for part in _parts(rule.when))
        return ExplainedStep(step=name, result=reasons.HOLDS, why=f"It applies: {met}.")
    why = "; ".join(_misses(part, word, visitor, now=now) for part, word in failing)
    return ExplainedStep(step=name, result=failing[0][1], why=f"It does not apply: {why}.")


def _draw(variants: tuple[Variant, ...], chosen: str, *, known: bool) -> ExplainedStep:
    total = sum(variant.weight for variant in variants)
    shares = ", ".join(f"{variant.name} {variant.weight / total:.1%}" for variant in variants)
    who = "this visitor always gets" if known else "for example"
    return ExplainedStep(step="weights", result=f"{reasons.VARIANT}:{chosen}", why=f"{shares}; {who} {chosen}.")


def _end(decision: Decision) -> ExplainedStep:
    target = decision.target
    word = decision.trace[-1] if decision.trace else reasons.DESTINATION
    if target.outcome == reasons.REDIRECTED:
        return ExplainedStep(step="end", result=word, why=f"Answered {target.status} with the Location below.")
    why = f"A lost click: answered {target.status}, recorded as {target.outcome}."
    return ExplainedStep(step="end", result=reasons.LOST, why=why)


def _schedule_sentence(link: Link, word: str, *, now: int) -> str:
    definition, at = link.definition, to_rfc3339(now)
    goes = "hits go to the fallback" if definition.fallback else "hits are lost, there is no fallback"
    return {
        reasons.OPEN: f"Open at {at}.",
        reasons.NOT_STARTED: f"It starts at {definition.starts}, and it is {at}: {goes}.",
        reasons.EXPIRED: f"It expired at {definition.expires}, and it is {at}: {goes}.",
        reasons.MAX_CLICKS_REACHED: f"It had its {definition.max_clicks} clicks: {goes}.",
    }[word]


# --- condition by condition ----------------------------------------------------------------------------------------------------


def _parts(when: When) -> list[When]:
    """One `When` for each condition, in the order in which they are tried."""
    parts = [When(since=when.since, until=when.until), When(days=when.days, hours=when.hours, zone=when.zone)]
    parts += [When(query={name: value}) for name, value in when.query.items()]
    parts += [When(device=when.device), When(os=when.os), When(language=when.language), When(country=when.country)]
    return [part for part in parts if part != When(zone=part.zone)]


def _failing(part: When, visitor: StatedVisitor, *, now: int) -> str:
    return next((word for condition in compile_conditions(part) if (word := condition(visitor, now))), "")


def _is(part: When, visitor: StatedVisitor, *, now: int) -> str:
    """What holds: "device is mobile"."""
    if part.query:
        [name] = part.query
        return f"{name} is {_said(visitor, name)}"
    for field, value in (
        ("device", visitor.device if part.device else ""),
        ("os", visitor.os if part.os else ""),
        ("language", (visitor.language or _UNSAID) if part.language else ""),
        ("country", (visitor.country_code or _UNSAID) if part.country else ""),
    ):
        if value:
            return f"{field} is {value}"
    return f"it is {to_rfc3339(now)}"


def _misses(part: When, word: str, visitor: StatedVisitor, *, now: int) -> str:
    """What does not hold, and what was wanted: "device is desktop, wanted mobile or tablet"."""
    if word == reasons.NO_COUNTRY_DATABASE:
        return "there is no country database (redirect.country_database)"
    return f"{_is(part, visitor, now=now)}, wanted {_wanted(part, word)}"


def _wanted(part: When, word: str) -> str:
    if part.query:
        [value] = part.query.values()
        return "any value" if value == PRESENT else value
    if word == reasons.NOT_SINCE:
        return f"since {part.since}"
    if word == reasons.NOT_UNTIL:
        return f"before {part.until}"
    if word in (reasons.NOT_DAYS, reasons.NOT_HOURS):
        return f"{' '.join((' '.join(part.days), part.hours)).strip()} in {part.zone}"
    return " or ".join(part.device or part.os or part.language or part.country)


def _said(visitor: StatedVisitor, name: str) -> str:
    value = visitor.parameter(name.encode())
    return "not there" if value is None else value.decode("utf-8", "replace") or "empty"


# --- the end -------------------------------------------------------------------------------------------------------------------


def _variant(decision: Decision) -> str:
    drawn = f"{reasons.VARIANT}:"
    return next((entry.removeprefix(drawn) for entry in decision.trace if entry.startswith(drawn)), "")


def _location(live: LiveLink, decision: Decision, query: bytes) -> str:
    """The Location header; the click ID is the one a platform ID gives, else a placeholder."""
    target = decision.target
    found = params.read(query, own=live.own, pass_personal=live.pass_personal)
    passed = params.without(found.passed, target.own)
    derived = derive_from_values(found.ids)
    head = (target.location + passed + (b"&" if passed else b"")).decode("ascii", "replace")
    return f"{head}ct_click={derived[0] if derived else NEW_CLICK_ID}{target.tail.decode()}"


def moment(text: str, *, now: int) -> int:
    """When the hit happens: RFC 3339 with a zone, "" = now."""
    return parse_rfc3339(text) if text else now
