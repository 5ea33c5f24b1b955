"""Pure: from what a look at a destination saw, and what was there before, to findings, each a word from a closed list.

| kind | word | what it says |
| --- | --- | --- |
| failing | `unreachable` | no address, no connection, or the connection broke |
| failing | `timed_out` | no answer within the time limit |
| failing | `http_error` | 4xx or 5xx at the end of the way |
| failing | `too_many_hops` | more redirects than the limit, or a circle |
| failing | `certificate_invalid` | a browser would refuse the certificate |
| failing | `unsafe_hop` | a redirect to where we do not go: a private address, another scheme or port (`core.visits.guard`) |
| changed | `final_url_changed` | another host or path at the end of the way than remembered |
| changed | `title_changed` | the page calls itself otherwise than remembered, digits apart |
| care | `certificate_expires_soon` | a certificate on the way ends within the limit |
| care | `slow` | the first byte came later than the limit |
| care | `click_id_lost` | `ct_click` did not survive to the final URL: visits there cannot be matched |
| care | `left_https` | an HTTPS destination passes through HTTP: parallel tracking stops there |
| care | `robots_refused` | 401, 403 or 429: the page may turn away only automatic visits such as ours |

What was remembered is the first look without a failing finding, until a person accepts a newer one; accepting also silences those
findings of kind *care* that it had. A failing finding cannot be accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from core.clock import DAY_MS
from core.pages import normalise_page

Kind = Literal["failing", "changed", "care"]
Word = Literal[
    "unreachable",
    "timed_out",
    "http_error",
    "too_many_hops",
    "certificate_invalid",
    "unsafe_hop",
    "final_url_changed",
    "title_changed",
    "certificate_expires_soon",
    "slow",
    "click_id_lost",
    "left_https",
    "robots_refused",
]
State = Literal["ok", "care", "changed", "failing"]

KIND_OF: Final[dict[Word, Kind]] = {
    "unreachable": "failing",
    "timed_out": "failing",
    "http_error": "failing",
    "too_many_hops": "failing",
    "certificate_invalid": "failing",
    "unsafe_hop": "failing",
    "final_url_changed": "changed",
    "title_changed": "changed",
    "certificate_expires_soon": "care",
    "slow": "care",
    "click_id_lost": "care",
    "left_https": "care",
    "robots_refused": "care",
}
#: Worst first.
KINDS: Final[tuple[Kind, ...]] = ("failing", "changed", "care")
#: Bot protection answers these to visitors it takes for machines; people may still get through.
REFUSING_ROBOTS: Final = frozenset((401, 403, 429))
_DIGITS: Final = re.compile(r"\d+")


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one look saw. `url` is the destination as its links have it; times in ms; 0 and "" = not known."""

    url: str
    statuses: tuple[int, ...] = ()  # one per hop, the last answer's at the end
    final_url: str = ""  # without ct_click
    ttfb_ms: int = 0  # from the first request to the first byte of the last answer, redirects included
    certificate_expires: int = 0  # the earliest on the way
    click_id_survived: bool = False
    https_left: bool = False
    title: str = ""
    failure: Word | Literal[""] = ""  # what ended the look before its last answer
    detail: str = ""

    @property
    def http_status(self) -> int:
        return self.statuses[-1] if self.statuses else 0

    @property
    def hops(self) -> int:
        """Redirects that were followed."""
        return max(len(self.statuses) - 1, 0)


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a destination. `accepted_by` is empty when nobody was asked: the first good look."""

    final_url: str
    title: str
    at: int
    accepted_by: str = ""
    accepted: tuple[Word, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something is worth a finding."""

    slow_ms: int = 3_000
    certificate_ms: int = 14 * DAY_MS


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One word with the sentence that a person reads."""

    word: Word
    text: str

    @property
    def kind(self) -> Kind:
        return KIND_OF[self.word]


def judge(seen: Observation, *, baseline: Baseline | None, limits: Limits, now: int) -> tuple[Finding, ...]:
    """The findings of one look, worst first."""
    if seen.failure:
        return (Finding(word=seen.failure, text=seen.detail),)
    found = [*_answer(seen), *_changes(seen, baseline), *_care(seen, limits, now=now)]
    accepted = baseline.accepted if baseline else ()
    kept = [finding for finding in found if finding.word not in accepted]
    return tuple(sorted(kept, key=lambda finding: KINDS.index(finding.kind)))


def confirmed(first: Sequence[Finding], second: Sequence[Finding]) -> tuple[Finding, ...]:
    """What two looks agree on, in the second one's words. Two that fail in different ways still fail."""
    words = {finding.word for finding in first}
    failing = any(finding.kind == "failing" for finding in first)
    return tuple(f for f in second if f.word in words or (failing and f.kind == "failing"))


def state_of(findings: Sequence[Finding]) -> State:
    """The worst kind among the findings."""
    kinds = {finding.kind for finding in findings}
    return next((kind for kind in KINDS if kind in kinds), "ok")


def remembered(seen: Observation, *, at: int) -> Baseline | None:
    """The baseline that a first good look makes; None when the page did not answer as a page should."""
    if seen.failure or not 200 <= seen.http_status < 300:
        return None
    return Baseline(final_url=seen.final_url, title=seen.title, at=at)


def accept(seen: Observation, findings: Sequence[Finding], *, by: str, at: int) -> Baseline:
    """The baseline a person makes of a look. The caller refuses it while a finding is failing."""
    words = tuple(finding.word for finding in findings if finding.kind == "care")
    return Baseline(final_url=seen.final_url, title=seen.title, at=at, accepted_by=by, accepted=words)


def _answer(seen: Observation) -> list[Finding]:
    status = seen.http_status
    if status in REFUSING_ROBOTS:
        text = (
            f"The page answers {status} to our visit; people may still reach it. Let our user agent in, or accept it."
        )
        return [Finding(word="robots_refused", text=text)]
    if status >= 400:
        return [Finding(word="http_error", text=f"The page answers {status}.")]
    return []


def _changes(seen: Observation, baseline: Baseline | None) -> list[Finding]:
    """Compared only where a page answered: an error page's title says nothing about the page."""
    if baseline is None or seen.http_status >= 400:
        return []
    found = []
    if normalise_page(seen.final_url) != normalise_page(baseline.final_url):
        text = f"It now ends at {_without_query(seen.final_url)}, before at {_without_query(baseline.final_url)}."
        found.append(Finding(word="final_url_changed", text=text))
    if _plain(seen.title) != _plain(baseline.title):
        text = f"The page is now called {seen.title!r}, before {baseline.title!r}."
        found.append(Finding(word="title_changed", text=text))
    return found


def _care(seen: Observation, limits: Limits, *, now: int) -> list[Finding]:
    found = []
    left = seen.certificate_expires - now
    if seen.certificate_expires and left < limits.certificate_ms:
        text = f"A certificate on the way ends in {max(left, 0) / DAY_MS:.1f} days."
        found.append(Finding(word="certificate_expires_soon", text=text))
    if seen.ttfb_ms > limits.slow_ms:
        text = f"The first byte came after {seen.ttfb_ms / 1000:.1f} s (limit {limits.slow_ms / 1000:g} s)."
        found.append(Finding(word="slow", text=text))
    if not seen.click_id_survived and seen.http_status < 400:
        text = "ct_click is gone at the end of the way: visits there cannot be matched with their click."
        found.append(Finding(word="click_id_lost", text=text))
    if seen.https_left:
        text = "An HTTPS destination passes through HTTP: parallel tracking stops there, and others can read along."
        found.append(Finding(word="left_https", text=text))
    return found


def _plain(title: str) -> str:
    """Counters in titles (`(3) Shop`) are no change."""
    return " ".join(_DIGITS.sub("#", title).split())


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]
