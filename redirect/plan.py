"""The routing of a link, compiled: conditions as functions, destinations as bytes. Built once per version of a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from core.clock import parse_rfc3339
from core.destinations import AllowList, normalise, parameter_names
from core.errors import Invalid
from core.pages import normalise_page
from redirect import reasons
from redirect.conditions import Condition, compile_conditions
from redirect.links.model import Link, LinkDefinition, Sign
from redirect.links.routing import Rule, Variant
from redirect.weights import Split

SOURCE: Final = "redirect"

#: Outcome -> HTTP status of a hit on a known link that is not redirected.
LOST_STATUS: Final[dict[str, int]] = {
    reasons.UNAVAILABLE: 503,
    reasons.DISABLED: 410,
    #: Not 410: the link will come.
    reasons.NOT_STARTED: 404,
    reasons.EXPIRED: 410,
    reasons.MAX_CLICKS_REACHED: 410,
    reasons.DESTINATION_NOT_ALLOWED: 403,
    reasons.SIGNATURE_MISSING: 403,
    reasons.SIGNATURE_INVALID: 403,
    reasons.SIGNATURE_EXPIRED: 410,
}


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One place a hit can end at. `location` + passed parameters + `ct_click=<id>` + `tail` is the Location header's value.

    `location` ends with ``?`` or ``&``; `tail` is the fragment with its mark, or empty. `record` opens the JSON of the Click records
    of hits that end here.
    """

    #: redirected, or why a hit is a lost click.
    outcome: str
    status: int
    record: bytes
    location: bytes = b""
    tail: bytes = b""
    #: Names of the parameters that the destination carries itself.
    own: frozenset[bytes] = frozenset()


class Decision(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where a hit goes, and why: one entry per step (`redirect.resolve`)."""

    target: Target
    trace: tuple[str, ...] = ()


def ended(target: Target, trace: tuple[str, ...] = ()) -> Decision:
    """The decision for a target: the trace of one that leads nowhere says why at its end."""
    return Decision(target, trace if target.outcome == reasons.REDIRECTED else (*trace, target.outcome, reasons.LOST))


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One rule: where to when every condition holds."""

    name: str
    conditions: tuple[Condition, ...]
    choices: Split[tuple[str, Target]]


class Signing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What `redirect.signing` needs to know of a link whose query is signed."""

    sign: Sign
    link_id: str
    version: int
    domain: str
    slug: str
    #: Word of `reasons.SIGNATURE_REFUSALS` -> the end of such a hit.
    lost: dict[str, Target]
    #: A destination in normal form -> where a hit with it ends; the allow-list holds here, too.
    target: Callable[[str], Target]


class Plan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What `redirect.resolve` walks through. `choices` say (last word of the trace, target)."""

    starts: int
    expires: int
    max_clicks: int
    fallback: Target | None
    lost: dict[str, Target]
    steps: tuple[Step, ...]
    choices: Split[tuple[str, Target]]
    signing: Signing | None = None

    @property
    def scheduled(self) -> bool:
        return bool(self.starts or self.expires or self.max_clicks)


def has_routing(definition: LinkDefinition) -> bool:
    """False for a plain link: one destination, always, and nothing to check."""
    return bool(
        definition.rules
        or definition.variants
        or definition.starts
        or definition.expires
        or definition.max_clicks
        or definition.sign
    )


def to_plan(link: Link, *, allowed: AllowList) -> Plan:
    """Compile the routing of a link that is neither disabled nor unavailable."""
    return _Compiler(link, allowed).plan()


def lost_target(link: Link, outcome: str) -> Target:
    """The end of a hit that is answered but not redirected."""
    status, definition = LOST_STATUS[outcome], link.definition
    return Target(
        outcome=outcome,
        status=status,
        record=_record(link, outcome=outcome, status=status, page=normalise_page(definition.destination), variant=""),
    )


def limited(target: Target) -> Target:
    """The end of a hit too many, in place of `target`; made when it is needed, which is a bounded number of times a second."""
    same = msgspec.json.decode(target.record + b"}") | {"http_status": 429, "reason": reasons.RATE_LIMITED}
    return Target(outcome=reasons.RATE_LIMITED, status=429, record=msgspec.json.encode(same)[:-1])


def to_target(link: Link, url: str, *, allowed: AllowList, variant: str = "") -> Target:
    """Prepare a destination. One that the allow-list no longer contains makes its hits lost clicks, never a redirect."""
    outcome: str = reasons.REDIRECTED
    status: int = link.definition.status
    location, tail, own = b"", b"", frozenset[bytes]()
    try:
        destination = normalise(url)
        allowed.check(destination)
    except Invalid:
        outcome = reasons.DESTINATION_NOT_ALLOWED
        status = LOST_STATUS[outcome]
    else:
        head, _, fragment = destination.url.partition("#")
        location = f"{head}{'&' if destination.query else '?'}".encode()
        tail = f"#{fragment}".encode() if fragment else b""
        own = parameter_names(destination.query)
    record = _record(link, outcome=outcome, status=status, page=normalise_page(url), variant=variant)
    return Target(outcome=outcome, status=status, record=record, location=location, tail=tail, own=own)


def _record(link: Link, *, outcome: str, status: int, page: str, variant: str) -> bytes:
    """What every Click that ends at one target begins with."""
    definition = link.definition
    same: dict[str, object] = {
        "kind": "click",
        "source": SOURCE,
        "link_id": link.link_id,
        "link_version": link.version,
        "slug": definition.slug,
        "domain": definition.domain,
        "http_status": status,
        "reason": outcome,
        "page": page,
    }
    if definition.client:
        same["client"] = definition.client
    if variant:
        same["variant"] = variant
    return msgspec.json.encode(same)[:-1]


class _Compiler:
    def __init__(self, link: Link, allowed: AllowList) -> None:
        self._link = link
        self._allowed = allowed

    def plan(self) -> Plan:
        definition = self._link.definition
        fallback = self._target(definition.fallback) if definition.fallback else None
        return Plan(
            starts=parse_rfc3339(definition.starts) if definition.starts else 0,
            expires=parse_rfc3339(definition.expires) if definition.expires else 0,
            max_clicks=definition.max_clicks,
            fallback=fallback,
            lost={
                word: lost_target(self._link, word)
                for word in (reasons.NOT_STARTED, reasons.EXPIRED, reasons.MAX_CLICKS_REACHED)
            },
            steps=tuple(self._step(rule) for rule in definition.rules),
            choices=self._choices(definition.variants, definition.destination, reasons.DESTINATION),
            signing=self._signing() if definition.sign else None,
        )

    def _signing(self) -> Signing:
        link, definition = self._link, self._link.definition
        return Signing(
            sign=definition.sign,
            link_id=link.link_id,
            version=link.version,
            domain=definition.domain,
            slug=definition.slug,
            lost={word: lost_target(link, word) for word in reasons.SIGNATURE_REFUSALS},
            target=self._target,
        )

    def _step(self, rule: Rule) -> Step:
        return Step(
            name=rule.name,
            conditions=compile_conditions(rule.when),
            choices=self._choices(rule.variants, rule.destination, reasons.RULE_DESTINATION),
        )

    def _choices(self, variants: tuple[Variant, ...], destination: str, word: str) -> Split[tuple[str, Target]]:
        if not variants:
            return Split([(word, 1, (word, self._target(destination)))], salt="")
        options = [
            (
                one.name,
                one.weight,
                (f"{reasons.VARIANT}:{one.name}", self._target(one.destination, variant=one.name)),
            )
            for one in variants
        ]
        return Split(options, salt=self._link.link_id)

    def _target(self, url: str, *, variant: str = "") -> Target:
        return to_target(self._link, url, allowed=self._allowed, variant=variant)
