"""What people may write as rules and variants, and how each mistake is answered: a word, and how to mend it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.destinations import AllowList
from core.errors import Invalid
from redirect.links.model import LinkDefinition, checked
from redirect.links.routing import Rule, Variant, When, parse_hours

ALLOWED = AllowList(["shop.example", "*.shop.example"])
SHOP = "https://shop.example/p"


def definition(**fields: Any) -> LinkDefinition:
    return LinkDefinition(**{"slug": "spring", "destination": SHOP, **fields})


def rule(name: str = "r", *, destination: str = SHOP, variants: tuple[Variant, ...] = (), **when: Any) -> Rule:
    return Rule(name=name, when=When(**(when or {"device": ("mobile",)})), destination=destination, variants=variants)


def variant(name: str = "a", *, destination: str = SHOP, weight: int = 1) -> Variant:
    return Variant(name=name, destination=destination, weight=weight)


def test_a_definition_from_before_routing_reads_and_writes_unchanged() -> None:
    old = {"slug": "spring", "destination": SHOP, "campaign": "google:1:2", "tags": ["a"]}
    assert msgspec.to_builtins(msgspec.convert(old, LinkDefinition)) == {**old, "tags": ("a",)}


def test_a_definition_with_everything_round_trips() -> None:
    full = checked(
        definition(
            rules=(rule(country=("de",), query={"a": "*"}, days=("MON",), hours="22:00-06:00", zone="Europe/Vienna"),),
            variants=(variant("a"), variant("b", weight=3)),
            status=307,
            starts="2026-11-20T10:00:00Z",
            expires="2026-12-20T10:00:00+01:00",
            fallback=SHOP,
            max_clicks=7,
        ),
        allowed=ALLOWED,
    )
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(full)), LinkDefinition) == full
    assert checked(full, allowed=ALLOWED) == full


def test_values_take_their_normal_form() -> None:
    messy = rule(
        destination="HTTPS://SHOP.example:443/a/../b",
        device=("Mobile", "mobile"),
        os=("iOS",),
        language=("DE-at", "zh-hant", "de"),
        country=("de", "AT"),
    )
    [neat] = checked(definition(rules=(messy,)), allowed=ALLOWED).rules
    assert neat.destination == "https://shop.example/b"
    assert neat.when == When(device=("mobile",), os=("ios",), language=("de-AT", "zh-Hant", "de"), country=("DE", "AT"))


@pytest.mark.parametrize(
    ("fields", "reason", "hint"),
    [
        ({"rules": (rule("a"), rule("a"))}, "rules", "unique"),
        ({"rules": (rule("no good"),)}, "rules", "letters, digits"),
        ({"rules": tuple(rule(f"r{i}") for i in range(51))}, "rules", "at most 50"),
        ({"rules": (rule(destination=""),)}, "rules", "either"),
        ({"rules": (rule(variants=(variant(),)),)}, "rules", "either"),
        ({"rules": (Rule(name="r", when=When(zone="Europe/Vienna"), destination=SHOP),)}, "when", "no condition"),
        ({"rules": (rule(device=("phone",)),)}, "when", "desktop, mobile"),
        ({"rules": (rule(os=("beos",)),)}, "when", "ios, android"),
        ({"rules": (rule(language=("german",)),)}, "when", "like de"),
        ({"rules": (rule(country=("UK",)),)}, "when", "like DE"),
        ({"rules": (rule(days=("monday",)),)}, "when", "mon, tue"),
        ({"rules": (rule(hours="9-18"),)}, "when", "09:00-18:00"),
        ({"rules": (rule(hours="09:00-09:00"),)}, "when", "empty"),
        ({"rules": (rule(hours="09:00-18:00", zone="Vienna"),)}, "when", "Europe/Vienna"),
        ({"rules": (rule(hours="09:00-18:00", zone="../../etc/passwd"),)}, "when", "Europe/Vienna"),
        ({"rules": (rule(since="2026-11-20T10:00:00"),)}, "when", "no time zone"),
        ({"rules": (rule(since="2026-11-20T10:00:00Z", until="2026-11-20T10:00:00Z"),)}, "when", "not after"),
        ({"rules": (rule(query={"": "1"}),)}, "when", "1 to 64"),
        ({"rules": (rule(query={"a": ""}),)}, "when", "* for any"),
        ({"rules": (rule(destination="https://evil.example/"),)}, "destination_not_allowed", "rule r: "),
        ({"rules": (rule(destination="", variants=(variant(destination="ftp://x"),)),)}, "destination_scheme", "rule r: variant a: "),
        ({"variants": (variant(), variant())}, "variants", "unique"),
        ({"variants": (variant(weight=0),)}, "variants", "above 0"),
        ({"variants": (variant(weight=-1),)}, "variants", "0 to 1000000"),
        ({"variants": tuple(variant(f"v{i}") for i in range(21))}, "variants", "at most 20"),
        ({"variants": (variant(destination="https://evil.example/"),)}, "destination_not_allowed", "variant a: "),
        ({"fallback": "https://10.0.0.1/"}, "destination_private", "fallback: "),
        ({"status": 303}, "status", "301, 302, 307"),
        ({"starts": "tomorrow"}, "schedule", "RFC 3339"),
        ({"starts": "2026-11-20T10:00:00Z", "expires": "2026-11-20T11:00:00+01:00"}, "schedule", "not after"),
        ({"max_clicks": -1}, "max_clicks", "0 for no limit"),
    ],
)  # fmt: skip
def test_every_mistake_has_a_word_and_says_how_to_mend_it(fields: dict[str, Any], reason: str, hint: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked(definition(**fields), allowed=ALLOWED)
    assert refusal.value.reason == reason
    assert hint in refusal.value.detail


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("09:00-18:00", (540, 1080)), ("22:30-06:00", (1350, 360)), ("00:00-24:00", (0, 1440)), ("18:00-24:00", (1080, 1440))],
)  # fmt: skip
def test_hours_are_minutes_of_the_day(text: str, minutes: tuple[int, int]) -> None:
    assert parse_hours(text) == minutes


def test_unknown_fields_of_a_rule_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="devcie"):
        msgspec.convert({"name": "r", "when": {"devcie": ["mobile"]}, "destination": SHOP}, Rule)
