"""Where a link leads under which conditions: the shapes people write, and what makes them valid.

`redirect.resolve` says in which order they are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from core.clock import parse_rfc3339
from core.destinations import AllowList, normalise
from core.errors import Invalid
from redirect.links.countries import COUNTRIES

DEVICES: Final = ("desktop", "mobile", "tablet", "bot", "other")
SYSTEMS: Final = ("ios", "android", "windows", "macos", "linux", "chromeos", "other")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: As a value of `When.query`: the parameter is there, whatever it says.
PRESENT: Final = "*"
MAX_RULES: Final = 50
MAX_VARIANTS: Final = 20
MAX_VALUES: Final = 300
MAX_QUERY: Final = 8
MAX_WEIGHT: Final = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-[a-z]{2}|-[0-9]{3})?", re.IGNORECASE)
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


class When(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Conditions of a rule: all that are given must hold; of several values one must.

    `language` is the visitor's most preferred one: "de" is German of any country, "de-AT" only that. `query` is parameter -> exact
    value, "*" = it is there. `since` and `until` are RFC 3339 with a zone (until is exclusive). `days` and `hours` ("09:00-18:00",
    may cross midnight; then the day is the one on which it begins) are local times of `zone`.
    """

    device: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    query: dict[str, str] = {}
    since: str = ""
    until: str = ""
    days: tuple[str, ...] = ()
    hours: str = ""
    zone: str = "UTC"


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One of several destinations; its share is its weight among all weights. Weight 0 gets nobody new."""

    name: str
    destination: str
    weight: int = 1


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where visitors go for whom `when` holds: exactly one of `destination` and `variants`."""

    name: str
    when: When
    destination: str = ""
    variants: tuple[Variant, ...] = ()


def checked_rules(rules: Sequence[Rule], *, allowed: AllowList) -> tuple[Rule, ...]:
    """Rules in their normal form.

    Raises:
        Invalid: `rules`, `when` or `variants`, or a destination's own reason; the detail names the rule.
    """
    if len(rules) > MAX_RULES:
        raise Invalid("rules", f"at most {MAX_RULES} rules a link, not {len(rules)}: join some, or use several links")
    _check_names("rules", [rule.name for rule in rules])
    return tuple(_checked_rule(rule, allowed=allowed) for rule in rules)


def checked_variants(variants: Sequence[Variant], *, allowed: AllowList, where: str = "") -> tuple[Variant, ...]:
    """Variants in their normal form.

    Raises:
        Invalid: `variants`, or a destination's own reason; the detail names the variant.
    """
    if len(variants) > MAX_VARIANTS:
        raise Invalid("variants", f"{where}at most {MAX_VARIANTS} variants, not {len(variants)}")
    _check_names("variants", [variant.name for variant in variants], where=where)
    for variant in variants:
        if not 0 <= variant.weight <= MAX_WEIGHT:
            raise Invalid("variants", f"{where}weight of {variant.name}: 0 to {MAX_WEIGHT}, not {variant.weight}")
    if variants and not any(variant.weight for variant in variants):
        raise Invalid("variants", f"{where}at least one variant needs a weight above 0")
    return tuple(
        msgspec.structs.replace(
            variant,
            destination=checked_destination(
                variant.destination, allowed=allowed, where=f"{where}variant {variant.name}: "
            ),
        )
        for variant in variants
    )


def checked_destination(url: str, *, allowed: AllowList, where: str = "") -> str:
    """A destination's normal form.

    Raises:
        Invalid: with the destination's own reason; `where` opens the detail.
    """
    try:
        destination = normalise(url)
        allowed.check(destination)
    except Invalid as error:
        raise Invalid(error.reason, f"{where}{error.detail}") from None
    return destination.url


def parse_hours(text: str) -> tuple[int, int]:
    """``09:00-18:00`` as minutes of the day; the end is smaller than the start when the window crosses midnight.

    Raises:
        ValueError: in another form, or empty (start and end the same).
    """
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: write hours as 09:00-18:00")
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    if start == end:
        raise ValueError(f"{text!r} is empty: leave hours out for the whole day")
    return start, end


def _checked_rule(rule: Rule, *, allowed: AllowList) -> Rule:
    where = f"rule {rule.name}: "
    if bool(rule.destination) == bool(rule.variants):
        raise Invalid("rules", f"{where}give it either a destination or variants")
    destination = checked_destination(rule.destination, allowed=allowed, where=where) if rule.destination else ""
    return msgspec.structs.replace(
        rule,
        when=_checked_when(rule.when, where=where),
        destination=destination,
        variants=checked_variants(rule.variants, allowed=allowed, where=where),
    )


def _checked_when(when: When, *, where: str) -> When:
    if when == When(zone=when.zone):
        raise Invalid("when", f"{where}no condition: everybody goes to the link's own destination or variants anyway")
    try:
        _check_query(when.query)
        _check_window(when)
        return msgspec.structs.replace(
            when,
            device=_each("device", when.device, normal=str.lower, valid=DEVICES.__contains__, hint=", ".join(DEVICES)),
            os=_each("os", when.os, normal=str.lower, valid=SYSTEMS.__contains__, hint=", ".join(SYSTEMS)),
            language=_each("language", when.language, normal=_language, valid=_is_language, hint="like de or de-AT"),
            country=_each(
                "country", when.country, normal=str.upper, valid=COUNTRIES.__contains__, hint="like DE or AT"
            ),
            days=_each("days", when.days, normal=str.lower, valid=DAYS.__contains__, hint=", ".join(DAYS)),
        )
    except ValueError as error:
        raise Invalid("when", f"{where}{error}") from None


def _each(
    field: str, values: Sequence[str], *, normal: Callable[[str], str], valid: Callable[[str], bool], hint: str
) -> tuple[str, ...]:
    """Values in their normal form, each once, in the order written."""
    found = tuple(dict.fromkeys(normal(value) for value in values))
    for value in found:
        if not valid(value):
            raise ValueError(f"{field} {value!r}: {hint}")
    if len(found) > MAX_VALUES:
        raise ValueError(f"{field}: at most {MAX_VALUES} values")
    return found


def _language(tag: str) -> str:
    """``DE-at`` as ``de-AT``, ``zh-hant`` as ``zh-Hant`` (RFC 5646 §2.1.1)."""
    first, *rest = tag.lower().split("-")
    return "-".join((first, *(part.title() if len(part) == 4 else part.upper() for part in rest)))


def _is_language(tag: str) -> bool:
    return _LANGUAGE.fullmatch(tag) is not None


def _check_query(query: dict[str, str]) -> None:
    if len(query) > MAX_QUERY or not all(0 < len(name) <= 64 and len(value) <= 256 for name, value in query.items()):
        raise ValueError(f"query: at most {MAX_QUERY} parameters, names of 1 to 64, values of at most 256 characters")
    if not all(value for value in query.values()):
        raise ValueError("query: say a value, or * for any")


def _check_window(when: When) -> None:
    since, until = (parse_rfc3339(text) if text else None for text in (when.since, when.until))
    if since is not None and until is not None and until <= since:
        raise ValueError(f"until {when.until} is not after since {when.since}")
    if when.hours:
        parse_hours(when.hours)
    try:
        ZoneInfo(when.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone {when.zone!r}: a name of the time zone database, like Europe/Vienna") from None


def _check_names(field: str, names: Sequence[str], *, where: str = "") -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise Invalid(field, f"{where}name {name!r}: letters, digits, - _ . (1 to 64)")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Invalid(field, f"{where}two of them are called {twice}: names are unique")
