"""Whether a conversion goes to a destination, and as which event: pure. Every "no" is a word of `uploads.states.SKIPPED`."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec

from core.clock import DAY_MS
from core.identity import is_qualified, split_qualified, usable
from uploads.base import Candidate, Destination, Event
from uploads.destination_config import ConversionMapping, DestinationConfig

#: Statuses that take back what was reported.
TAKEN_BACK = frozenset({"rejected", "duplicate", "returned", "refunded"})
#: `Click.consent` and the attribute "consent" of a conversion (redirect: "Consent").
GIVEN, REFUSALS = "yes", frozenset({"no", "gpc"})
CONSENT, EVENT_ID = "consent", "event_id"
MAX_EVENT_ID = 255
#: An imported line that claims to have been known no longer ago than this is news: the sales of a day, brought by file.
NEWS_MS = DAY_MS


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` says why it is left out; "" = it is sent, not before `not_before` (ms)."""

    event: Event
    reason: str
    not_before: int


def decide(
    candidate: Candidate,
    mapping: ConversionMapping,
    destination: Destination,
    *,
    sandbox_accounts: frozenset[str],
    now: int,
) -> Decision | None:
    """The decision on one conversion and mapping; None when it is no concern of this destination.

    No concern is: another tenant's, another type, no click ID of this platform, and a status that was never yet one that is sent.
    """
    config = destination.config
    if candidate.client != config.client or candidate.type != mapping.type or candidate.origin not in config.origins:
        return None
    found = platform_id(candidate, destination.id_names, min_confidence=config.min_confidence)
    if found is None and candidate.status not in TAKEN_BACK:
        return None
    event = Event(
        upload_id=upload_id(destination.reported_to, mapping.target, candidate.fact_id),
        reported_to=destination.reported_to,
        event_id=event_id(candidate),
        mapping=mapping,
        candidate=candidate,
        id_name=found.name if found else "",
        id_value=found.value if found else "",
        doubtful=found.doubtful if found else False,
    )
    if found is None:
        # What takes a report back may come without the click's keys; it is only said of what was entered before.
        return Decision(event=event, reason="status", not_before=now)
    reason = next((word for word, objects in _RULES if objects(event, config)), "")
    if not reason and in_sandbox(candidate, destination, sandbox_accounts):
        reason = "sandbox"
    reason = reason or other_account(candidate, destination) or destination.objection(event, now=now)
    # Clocks differ, and platforms refuse events of the future.
    not_before = max(candidate.known_at + config.wait_s * 1000, event.ts)
    return Decision(event=event, reason=reason, not_before=not_before)


class PlatformId(msgspec.Struct, frozen=True, kw_only=True):
    """`doubtful`: it is a click's that the conversion may not belong to."""

    name: str
    value: str
    doubtful: bool = False


def platform_id(candidate: Candidate, names: tuple[str, ...], *, min_confidence: float) -> PlatformId | None:
    """The click ID that the platform understands: the matched click's, else what the conversion itself brought."""
    doubtful = candidate.confidence < min_confidence
    sources = [(candidate.click_platform_ids, doubtful), (candidate.platform_ids, False)]
    for held, in_doubt in sorted(sources, key=lambda source: source[1]):
        for name in names:
            if usable(held.get(name, "").encode()):
                return PlatformId(name=name, value=held[name], doubtful=in_doubt)
    return None


def upload_id(reported_to: str, target: str, conversion: str) -> str:
    """The same conversion, account and target always have the same one, whatever the destination is called."""
    return sha256("\n".join((reported_to, target, conversion)).encode()).hexdigest()[:32]


def event_id(candidate: Candidate) -> str:
    """What the platform tells repetitions by: the attribute `event_id`, which a pixel may share, else the order, else our own ID."""
    found = candidate.attributes.get(EVENT_ID) or candidate.order_id or candidate.conversion_id
    return found if len(found) <= MAX_EVENT_ID else sha256(found.encode()).hexdigest()


def consent(candidate: Candidate) -> str:
    """yes, no or "" (nothing was said). What stands in the conversion outweighs the click, but for a refusal: that always holds."""
    said = {word for word in (candidate.attributes.get(CONSENT, ""), *candidate.consents) if word}
    if said & REFUSALS:
        return "no"
    return GIVEN if GIVEN in said else ""


def replayed(candidate: Candidate) -> bool:
    """True for history that was imported: it claims to have been known long before it was matched."""
    return candidate.claimed and candidate.matched_at - candidate.known_at > NEWS_MS


def in_sandbox(candidate: Candidate, destination: Destination, sandbox_accounts: frozenset[str]) -> bool:
    """The click's campaign, its account or the account reported to is a test."""
    accounts = {f"{destination.platform}:{destination.account}"}
    if is_qualified(candidate.campaign):
        platform, account, _ = split_qualified(candidate.campaign)
        accounts.add(f"{platform}:{account}")
    return candidate.sandbox or not accounts.isdisjoint(sandbox_accounts)


def other_account(candidate: Candidate, destination: Destination) -> str:
    """The word when the click belongs to another platform or to none of the accounts that are reported for."""
    wanted = destination.config.click_accounts
    if not is_qualified(candidate.campaign):
        return "other_account" if wanted else ""
    platform, account, _ = split_qualified(candidate.campaign)
    fits = platform == destination.platform and (not wanted or account in wanted)
    return "" if fits else "other_account"


_Rule = Callable[[Event, DestinationConfig], bool]

_RULES: tuple[tuple[str, _Rule], ...] = (
    ("replayed", lambda event, config: replayed(event.candidate)),
    ("status", lambda event, config: event.candidate.status not in event.mapping.statuses),
    ("low_confidence", lambda event, config: event.doubtful),
    ("consent_refused", lambda event, config: consent(event.candidate) == "no"),
    ("consent_unknown", lambda event, config: config.require_consent and consent(event.candidate) != GIVEN),
    ("flagged", lambda event, config: event.candidate.flagged),
)
