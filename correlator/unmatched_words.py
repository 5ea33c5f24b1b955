"""The closed list of reasons why a conversion found no click, nearest to a match first, with what to do about each."""

from __future__ import annotations

from typing import Final

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """`fault_from`: share of a source's conversions from which the reason is a fault of the set-up; None = it never is by itself."""

    word: str
    meaning: str
    mend: str = ""
    fault_from: float | None = None


REASONS: Final[tuple[Reason, ...]] = (
    Reason(word="click_too_old", meaning="its click lies before the type's look-back"),
    Reason(
        word="click_later",
        meaning="the only clicks that its keys lead to came after it",
        mend="compare the clocks of redirect and sender (correlator.clock_skew_s is what is tolerated)",
        fault_from=0.05,
    ),
    Reason(
        word="other_client",
        meaning="its key was seen with a click of another client only",
        mend="let the sender name the client that the link has",
        fault_from=0.02,
    ),
    Reason(
        word="unknown_click",
        meaning="it names a click that the redirect never saw",
        mend="look for advertisements that lead past the redirect (tracking template), and for sources older than the redirect",
        fault_from=0.05,
    ),
    Reason(
        word="unseen_key", meaning="none of its keys was ever seen with a click: organic, direct, or another device"
    ),
    Reason(
        word="unusable_key",
        meaning="its platform IDs identify nobody: an unfilled macro, or too long",
        mend="the sender stores the template instead of the value: send what stood in the visitor's address",
        fault_from=0.01,
    ),
    Reason(
        word="no_key",
        meaning="it came without any key",
        mend="send click_id (cookie ct_click), the platform ID, or order, CRM, e-mail or phone keys with it",
        fault_from=0.2,
    ),
)
WORDS: Final[tuple[str, ...]] = tuple(reason.word for reason in REASONS)
