"""Pure: from what a look saw to findings, each a word from a closed list.

| kind | word | what it says |
| --- | --- | --- |
| failing | `unreachable` | no address, no connection, or the connection broke |
| failing | `timed_out` | no answer within the time limit |
| failing | `too_many_hops` | more redirects than the limit, or a circle |
| failing | `certificate_invalid` | a browser would refuse the certificate |
| failing | `unsafe_hop` | a redirect to where we do not go: a private address, another scheme or port |
| failing | `wrong_status` | another status than the page may answer |
| failing | `text_missing` | a text that must be there is not |
| failing | `text_present` | a text that may not be there is |
| failing | `form_missing` | the form is not there |
| failing | `unreadable` | the page is compressed in a way that we did not ask for |
| care | `slow` | the first byte came later than the limit |
| care | `certificate_expires_soon` | a certificate on the way ends within the limit |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from collectors.checks.config import PageConfig
from collectors.checks.page import Page
from core.clock import DAY_MS
from core.visits.visit import Failure, Visit

Word = (
    Failure
    | Literal[
        "wrong_status",
        "text_missing",
        "text_present",
        "form_missing",
        "unreadable",
        "slow",
        "certificate_expires_soon",
    ]
)
State = Literal["ok", "care", "failing"]
CARE: Final = frozenset(("slow", "certificate_expires_soon"))


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One word with the sentence that a person reads."""

    word: Word
    text: str


def judge(visit: Visit, page: Page | None, wanted: PageConfig, *, certificate_ms: float, now: int) -> list[Finding]:
    """The findings of one look, failing ones first."""
    if visit.failure:
        return [Finding(word=visit.failure, text=visit.detail)]
    if visit.http_status not in wanted.status:
        expected = " or ".join(map(str, wanted.status))
        return [Finding(word="wrong_status", text=f"The page answers {visit.http_status}, not {expected}.")]
    return [*_content(page, wanted), *_care(visit, wanted, certificate_ms=certificate_ms, now=now)]


def state_of(findings: Sequence[Finding]) -> State:
    """The worst among the findings."""
    if any(finding.word not in CARE for finding in findings):
        return "failing"
    return "care" if findings else "ok"


def confirmed(first: Sequence[Finding], second: Sequence[Finding]) -> list[Finding]:
    """What two looks agree on, in the second one's words. Two that fail in different ways still fail."""
    words = {finding.word for finding in first}
    failing = state_of(first) == "failing"
    return [f for f in second if f.word in words or (failing and f.word not in CARE)]


def _content(page: Page | None, wanted: PageConfig) -> Iterator[Finding]:
    if not (wanted.text or wanted.absent or wanted.form):
        return
    if page is None:
        yield Finding(word="unreadable", text="The page came compressed in a way that was not asked for.")
        return
    everything = f"{page.title} {page.text}"
    for text in wanted.text:
        if _folded(text) not in everything:
            yield Finding(word="text_missing", text=f"{text!r} is not on the page.")
    for text in wanted.absent:
        if _folded(text) in everything:
            yield Finding(word="text_present", text=f"{text!r} is on the page.")
    if wanted.form and not any(form.is_called(wanted.form) for form in page.forms):
        named = "no form at all" if not page.forms else f"{len(page.forms)} others"
        what = "a form" if wanted.form == "*" else f"the form {wanted.form!r}"
        yield Finding(word="form_missing", text=f"The page lacks {what}: it has {named}.")


def _care(visit: Visit, wanted: PageConfig, *, certificate_ms: float, now: int) -> Iterator[Finding]:
    if visit.ttfb_ms > wanted.slow_s * 1000:
        text = f"The first byte came after {visit.ttfb_ms / 1000:.1f} s (limit {wanted.slow_s:g} s)."
        yield Finding(word="slow", text=text)
    left = visit.certificate_expires - now
    if visit.certificate_expires and left < certificate_ms:
        text = f"A certificate on the way ends in {max(left, 0) / DAY_MS:.1f} days."
        yield Finding(word="certificate_expires_soon", text=text)


def _folded(text: str) -> str:
    return " ".join(text.split())
