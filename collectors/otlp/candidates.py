"""Which clicks a span names (design §4, "Back-end spans"): pure, from one span to candidates, and from candidates to the click.

| rank | where the click ID stands |
| --- | --- |
| 0 | the trace ID itself |
| 1 | `ct_click` in a URL |
| 2 | derived from a platform ID in a URL: proven to be paid, whether we know the click or not |
| 3 | the attribute `clicktrace.click_id` |
| 4 | tracestate, `clicktrace=<click id>` |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from collectors.otlp.signals import SpanData
from core.identity import CLICK_PARAMETER, derive_from_values, first_values, is_click_id, root_span_id

CLICK_ATTRIBUTE: Final = "clicktrace.click_id"
TRACESTATE_KEY: Final = "clicktrace"
URL_ATTRIBUTES: Final = ("url.full", "url.query", "http.target", "http.url")
#: While a `ct_click` may still be on its way to the store, a platform ID beside it must not decide.
GRACE_MS: Final = 5_000
#: The spans of a trace mostly come together.
_root = lru_cache(maxsize=4096)(root_span_id)


class Candidate(msgspec.Struct, frozen=True):
    """A click that a span names. `proven`: its platform ID stands in the URL, so it is paid whether we know the click or not."""

    rank: int
    click_id: str
    proven: bool = False


def named_by(span: SpanData) -> list[Candidate]:
    """The clicks that one span names. Its trace ID counts as named only where the span's parent is that click's root span:
    every trace has an ID, and whoever can compute the root knows the click."""
    found = []
    attributes = span.attributes
    for name in URL_ATTRIBUTES:
        url = attributes.get(name)
        if url and ("clid" in url or CLICK_PARAMETER in url):
            found += _in_query(url if name == "url.query" else url.partition("?")[2])
    attribute = attributes.get(CLICK_ATTRIBUTE)
    if attribute and is_click_id(attribute):
        found.append(Candidate(3, attribute))
    if TRACESTATE_KEY in span.trace_state:
        found += _in_tracestate(span.trace_state)
    if span.parent_span_id and span.parent_span_id == _root(span.trace_id):
        found.append(Candidate(0, span.trace_id))
    return found


def better(candidate: Candidate, known: Candidate | None) -> Candidate:
    """What two spans of a trace say of one click, put together."""
    if known is None:
        return candidate
    return Candidate(min(candidate.rank, known.rank), candidate.click_id, candidate.proven or known.proven)


def certain(found: Iterable[Candidate]) -> str:
    """The click that is decided without asking the store: the best candidate is proven; else ""."""
    best = min(found, key=_rank)
    return best.click_id if best.proven else ""


def decide(found: Iterable[Candidate], *, known: Mapping[str, bool], age_ms: int) -> str:
    """The click a trace belongs to, or "" while it is not known to be a paid one's."""
    for candidate in sorted(found, key=_rank):
        if candidate.proven or known.get(candidate.click_id, False):
            return candidate.click_id
        if candidate.rank == 1 and candidate.click_id not in known and age_ms < GRACE_MS:
            return ""
    return ""


def _rank(candidate: Candidate) -> int:
    return candidate.rank


def _in_query(query: str) -> list[Candidate]:
    values = first_values(query.removeprefix("?").partition("#")[0].encode("utf-8", "surrogatepass"))
    found = []
    own = values.get(CLICK_PARAMETER.encode(), b"").decode("latin-1")
    if is_click_id(own):
        found.append(Candidate(1, own))
    derived = derive_from_values(values)
    if derived is not None:
        found.append(Candidate(2, derived[0], proven=True))
    return found


def _in_tracestate(trace_state: str) -> list[Candidate]:
    for member in trace_state.split(","):
        key, _, value = member.strip().partition("=")
        if key == TRACESTATE_KEY and is_click_id(value):
            return [Candidate(4, value)]
    return []
