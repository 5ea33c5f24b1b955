"""The conditions of a rule, compiled to functions of a visitor and a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.clock import parse_rfc3339
from core.identity import percent_decode
from redirect import reasons
from redirect.links.routing import PRESENT, When
from redirect.visitor import Visitor
from redirect.windows import Window

#: "" when it holds, else the word from `reasons.CONDITIONS` that says why not.
Condition = Callable[[Visitor, int], str]
_NEVER: Final = 1 << 62


def compile_conditions(when: When) -> tuple[Condition, ...]:
    """The conditions that are given, in the order in which they are tried: what needs the least knowledge comes first."""
    found: list[Condition] = []
    if when.since or when.until:
        found.append(_between(when.since, when.until))
    if when.days or when.hours:
        window = Window(days=when.days, hours=when.hours, zone=when.zone)
        found.append(lambda _visitor, now: window.failing(now))
    found += [_query(name, value) for name, value in when.query.items()]
    if when.device:
        devices = frozenset(when.device)
        found.append(lambda visitor, _now: "" if visitor.device in devices else reasons.NOT_DEVICE)
    if when.os:
        systems = frozenset(when.os)
        found.append(lambda visitor, _now: "" if visitor.os in systems else reasons.NOT_OS)
    if when.language:
        languages = frozenset(tag.lower() for tag in when.language)
        found.append(lambda visitor, _now: reasons.NOT_LANGUAGE if languages.isdisjoint(visitor.languages) else "")
    if when.country:
        found.append(_country(frozenset(when.country)))
    return tuple(found)


def _between(since: str, until: str) -> Condition:
    first = parse_rfc3339(since) if since else 0
    end = parse_rfc3339(until) if until else _NEVER

    def holds(_visitor: Visitor, now: int) -> str:
        if now < first:
            return reasons.NOT_SINCE
        return "" if now < end else reasons.NOT_UNTIL

    return holds


def _query(name: str, value: str) -> Condition:
    key, wanted = name.encode(), None if value == PRESENT else percent_decode(value.encode())

    def holds(visitor: Visitor, _now: int) -> str:
        said = visitor.parameter(key)
        return "" if said is not None and (wanted is None or said == wanted) else reasons.NOT_QUERY

    return holds


def _country(countries: frozenset[str]) -> Condition:
    def holds(visitor: Visitor, now: int) -> str:
        country = visitor.country(now)
        if country is None:
            return reasons.NO_COUNTRY_DATABASE
        return "" if country in countries else reasons.NOT_COUNTRY

    return holds
