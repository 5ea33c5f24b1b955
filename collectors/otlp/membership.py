"""Which spans belong to a paid click (design §4, "Back-end spans"), decided for whole traces.

A span names its click by trace ID, else by `ct_click` or a platform ID in its URL, else by the attribute `clicktrace.click_id` or
tracestate (`clicktrace=<click id>`); then the whole trace belongs to that click. Spans come in any order and in several batches,
so those of undecided traces are held for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from collectors.otlp.signals import SpanData
from core.errors import StoreError
from core.identity import CLICK_PARAMETER, derive_from_values, first_values, is_click_id

log = structlog.get_logger(__name__)

#: Click IDs that we know -> whether the click is paid. IDs that are not in the answer are not known.
Lookup = Callable[[Sequence[str]], Mapping[str, bool]]

CLICK_ATTRIBUTE = "clicktrace.click_id"
TRACESTATE_KEY = "clicktrace"
URL_ATTRIBUTES = ("url.full", "url.query", "http.target", "http.url")
#: A click is in the store within two seconds; until then its ID is not known, which says nothing yet.
LOOKUP_DELAYS_MS = (0, 2_000, 5_000, 15_000, 40_000)
#: While a `ct_click` may still be on its way to the store, a platform ID beside it must not decide.
GRACE_MS = 5_000
LOOKUP_BATCH = 2_000
DECIDED_MAX = 100_000
DECIDED_MS = 600_000


class Candidate(msgspec.Struct, frozen=True):
    """A click that a span names. `proven`: its platform ID stands in the URL, so it is paid whether we know the click or not."""

    rank: int
    click_id: str
    proven: bool = False


def candidates(span: SpanData) -> list[Candidate]:
    """The clicks that one span names, best first."""
    found = [Candidate(0, span.trace_id)]
    for name in URL_ATTRIBUTES:
        url = span.attributes.get(name)
        if url and ("clid" in url or CLICK_PARAMETER in url):
            found += _in_query(url if name == "url.query" else url.partition("?")[2])
    attribute = span.attributes.get(CLICK_ATTRIBUTE, "")
    if is_click_id(attribute):
        found.append(Candidate(3, attribute))
    if TRACESTATE_KEY in span.trace_state:
        found += _in_tracestate(span.trace_state)
    return found


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


class _Trace:
    __slots__ = ("candidates", "first_seen", "looked_up", "spans")

    def __init__(self, now: int) -> None:
        self.first_seen = now
        self.looked_up = 0
        self.spans: list[SpanData] = []
        self.candidates: dict[str, Candidate] = {}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    click_id: str
    span: SpanData


class MembershipLimits(Protocol):
    @property
    def hold_s(self) -> float: ...
    @property
    def held_max_spans(self) -> int: ...
    @property
    def max_spans_per_trace(self) -> int: ...


class PaidTraces:
    """Holds spans until their trace is known to be a paid click's. Not thread-safe: the receiver's worker owns it.

    Everything is bounded: spans per trace, spans held (the oldest traces go first), time held, decided traces remembered.
    """

    def __init__(self, lookup: Lookup, *, limits: MembershipLimits) -> None:
        self._lookup = lookup
        self._limits = limits
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._decided: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._kept: list[Kept] = []
        self.held = 0
        self.dropped_unpaid = 0
        self.dropped_full = 0

    def add(self, span: SpanData, *, now: int) -> None:
        """Take a span in; `resolve` decides."""
        decided = self._decided.get(span.trace_id)
        if decided is not None:
            self._kept.append(Kept(click_id=decided[0], span=span))
            return
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = _Trace(now)
        if len(trace.spans) >= self._limits.max_spans_per_trace:
            self.dropped_full += 1
            return
        trace.spans.append(span)
        self.held += 1
        for candidate in candidates(span):
            known = trace.candidates.get(candidate.click_id)
            if known is None:
                trace.looked_up = 0  # something new to ask for
            if known is None or (candidate.proven and not known.proven) or candidate.rank < known.rank:
                trace.candidates[candidate.click_id] = _best(candidate, known)

    def resolve(self, *, now: int) -> list[Kept]:
        """Spans now known to belong to a paid click.

        1. Look up, in one query, the candidates of all traces whose turn it is.
        2. Decide each of them by its best candidate.
        3. Drop what was held too long or does not fit.
        """
        due = [(trace_id, trace) for trace_id, trace in self._traces.items() if _is_due(trace, now=now)]
        known = self._ask({click_id for _, trace in due for click_id in trace.candidates})
        if known is not None:
            for trace_id, trace in due:
                click_id = decide(trace.candidates.values(), known=known, age_ms=now - trace.first_seen)
                trace.looked_up = _lookups_done(now - trace.first_seen)
                if click_id:
                    self._keep(trace_id, click_id, now=now)
        self._drop(now=now)
        kept, self._kept = self._kept, []
        return kept

    def _ask(self, click_ids: set[str]) -> dict[str, bool] | None:
        known: dict[str, bool] = {}
        ordered = sorted(click_ids)
        try:
            for start in range(0, len(ordered), LOOKUP_BATCH):
                known |= self._lookup(ordered[start : start + LOOKUP_BATCH])
        except StoreError as error:
            log.warning("clicks of traces not looked up", traces=len(self._traces), error=str(error))
            return None
        return known

    def _keep(self, trace_id: str, click_id: str, *, now: int) -> None:
        trace = self._traces.pop(trace_id)
        self.held -= len(trace.spans)
        self._kept += [Kept(click_id=click_id, span=span) for span in trace.spans]
        self._decided[trace_id] = (click_id, now)

    def _drop(self, *, now: int) -> None:
        hold_ms = self._limits.hold_s * 1000
        while self._traces:
            trace = next(iter(self._traces.values()))
            too_long = now - trace.first_seen >= hold_ms
            if not too_long and self.held <= self._limits.held_max_spans:
                break
            self._traces.popitem(last=False)
            self.held -= len(trace.spans)
            if too_long:
                self.dropped_unpaid += len(trace.spans)
            else:
                self.dropped_full += len(trace.spans)
        while self._decided:
            _, decided_at = next(iter(self._decided.values()))
            if len(self._decided) <= DECIDED_MAX and now - decided_at < DECIDED_MS:
                break
            self._decided.popitem(last=False)


def decide(found: Iterable[Candidate], *, known: Mapping[str, bool], age_ms: int) -> str:
    """The click a trace belongs to, or "" while it is not known to be a paid one's."""
    for candidate in sorted(found, key=lambda candidate: candidate.rank):
        if candidate.proven or known.get(candidate.click_id, False):
            return candidate.click_id
        if candidate.rank == 1 and candidate.click_id not in known and age_ms < GRACE_MS:
            return ""
    return ""


def _best(candidate: Candidate, known: Candidate | None) -> Candidate:
    if known is None:
        return candidate
    return Candidate(min(candidate.rank, known.rank), candidate.click_id, candidate.proven or known.proven)


def _lookups_done(age_ms: int) -> int:
    return sum(age_ms >= delay for delay in LOOKUP_DELAYS_MS)


def _is_due(trace: _Trace, *, now: int) -> bool:
    return _lookups_done(now - trace.first_seen) > trace.looked_up
