"""Which spans belong to a paid click, decided for whole traces; those of undecided traces are held for a while.

Spans come in any order and in several batches, so a trace may be named by its last span. Traffic that nobody paid for is most of what
comes, and an attacker can make it all of it, so what it may cost is bounded:

1. A held span is packed into some 220 bytes: what its record will need, and nothing else.
2. A trace takes its turn in queues, one for each delay after which it is asked for again; nothing walks over all that is held.
3. A trace that names a click is asked for by its ID among all clicks, `NAMED_LOOKUPS` a flush, the others a flush later.
4. A trace that names none is asked for by its trace ID, among the clicks of `BARE_SINCE_MS`, `BARE_LOOKUPS` a flush, new ones first; the
   others only at their next turn, and are counted (`unasked`). IDs that are looked up cost the engine a pass over those clicks.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, Protocol

import msgspec
import structlog

from collectors.otlp.candidates import Candidate, better, certain, decide, named_by
from collectors.otlp.signals import SpanData
from core.clock import DAY_MS
from core.errors import StoreError

log = structlog.get_logger(__name__)

#: A click is in the store within two seconds; until then its ID is not known, which says nothing yet.
LOOKUP_DELAYS_MS: Final = (0, 2_000, 5_000, 15_000, 40_000)
LOOKUP_BATCH: Final = 2_000
NAMED_LOOKUPS: Final = 10_000
BARE_LOOKUPS: Final = 2_000
BARE_SINCE_MS: Final = 2 * DAY_MS
DECIDED_MAX: Final = 100_000
DECIDED_MS: Final = 600_000
#: What a held trace takes beside its packed spans (measured with tracemalloc: 580 bytes with one span, 990 with five).
TRACE_BYTES: Final = 700

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[SpanData]).decode


class Lookup(Protocol):
    """Click IDs that we know -> whether the click is paid. IDs that are not in the answer are not known."""

    def __call__(self, click_ids: Sequence[str], *, since: int = 0) -> Mapping[str, bool]:
        """Args:
        since: only clicks known since then (ms) need to be found; 0 = all.
        """
        ...


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    click_id: str
    span: SpanData


class MembershipLimits(Protocol):
    @property
    def hold_s(self) -> float: ...
    @property
    def held_max_spans(self) -> int: ...
    @property
    def held_max_bytes(self) -> int: ...
    @property
    def max_spans_per_trace(self) -> int: ...
    @property
    def span_attributes(self) -> Sequence[str]: ...


# Not tracked by the garbage collector: there may be a million, and none is part of a cycle.
class _Trace(msgspec.Struct, gc=False):
    first_seen: int
    spans: int = 0
    size: int = TRACE_BYTES
    fresh: list[SpanData] | None = None
    packed: list[bytes] | None = None
    named: dict[str, Candidate] | None = None

    def take(self) -> list[SpanData]:
        """All its spans, oldest first."""
        found = [span for block in self.packed or () for span in _unpack(block)]
        return found + (self.fresh or [])


_Turn = tuple[str, _Trace]


class PaidTraces:
    """Holds spans until their trace is known to be a paid click's. Not thread-safe: the receiver's worker owns it.

    Everything is bounded: spans per trace, spans and bytes held (the oldest traces go first), time held, decided traces remembered.
    """

    def __init__(self, lookup: Lookup, *, limits: MembershipLimits) -> None:
        self._lookup = lookup
        self._limits = limits
        self._kept_attributes = frozenset(limits.span_attributes)
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._turns: list[deque[_Turn]] = [deque() for _ in LOOKUP_DELAYS_MS]
        #: Named since they were asked for last.
        self._again: dict[str, _Trace] = {}
        self._fresh: list[_Trace] = []
        self._decided: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._kept: list[Kept] = []
        self.held = 0
        self.held_bytes = 0
        self.dropped_unpaid = 0
        self.dropped_full = 0
        self.unasked = 0

    def add(self, span: SpanData, *, now: int) -> None:
        """Take a span in; `resolve` decides."""
        decided = self._decided.get(span.trace_id)
        if decided is not None:
            self._kept.append(Kept(click_id=decided[0], span=span))
            return
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = _Trace(now)
            self._turns[0].append((span.trace_id, trace))
            self.held_bytes += TRACE_BYTES
        if trace.spans >= self._limits.max_spans_per_trace:
            self.dropped_full += 1
            return
        if trace.fresh is None:
            trace.fresh = [span]
            self._fresh.append(trace)
        else:
            trace.fresh.append(span)
        trace.spans += 1
        self.held += 1
        for candidate in named_by(span):
            self._name(span.trace_id, trace, candidate)

    def _name(self, trace_id: str, trace: _Trace, candidate: Candidate) -> None:
        named = trace.named = trace.named or {}
        known = named.get(candidate.click_id)
        if known is None or candidate.proven > known.proven:
            self._again[trace_id] = trace  # something new to decide by
        named[candidate.click_id] = better(candidate, known)

    def resolve(self, *, now: int) -> list[Kept]:
        """Spans now known to belong to a paid click.

        1. Decide what needs no question.
        2. Look up the clicks of the traces whose turn it is, and decide those by their best candidate.
        3. Pack what stays; drop what was held too long or does not fit.
        """
        self._keep_certain(now=now)
        named, bare = self._due(now=now)
        self._ask(named, now=now, since=0, by=_click_ids)
        self._ask(bare, now=now, since=now - BARE_SINCE_MS, by=_trace_ids)
        self._pack_fresh()
        self._drop(now=now)
        kept, self._kept = self._kept, []
        return kept

    # --- asking ------------------------------------------------------------------------------------------------------------------
    def _keep_certain(self, *, now: int) -> None:
        for trace_id, trace in list(self._again.items()):
            click_id = certain(trace.named.values()) if trace.named else ""
            if click_id:
                del self._again[trace_id]
                self._keep(trace_id, trace, click_id, now=now)

    def _due(self, *, now: int) -> tuple[list[_Turn], list[_Turn]]:
        """(traces that name a click, traces that do not) to ask for now; each has left its queue for the next one."""
        named = [self._again.popitem() for _ in range(min(len(self._again), NAMED_LOOKUPS))]
        seen = {trace_id for trace_id, _ in named}
        bare: list[list[_Turn]] = [[] for _ in self._turns]
        # The last turns first: what moves on from one turn must not take the next one in the same flush.
        for turn in reversed(range(len(LOOKUP_DELAYS_MS))):
            queue = self._turns[turn]
            while queue and now - queue[0][1].first_seen >= LOOKUP_DELAYS_MS[turn] and len(named) < NAMED_LOOKUPS:
                trace_id, trace = queue.popleft()
                if self._traces.get(trace_id) is not trace:
                    continue
                if turn + 1 < len(LOOKUP_DELAYS_MS):
                    self._turns[turn + 1].append((trace_id, trace))
                if trace.named:
                    named += [] if trace_id in seen or trace_id in self._again else [(trace_id, trace)]
                else:
                    bare[turn].append((trace_id, trace))
        asked = list(chain.from_iterable(bare))
        self.unasked += max(0, len(asked) - BARE_LOOKUPS)
        return named, asked[:BARE_LOOKUPS]

    def _ask(self, asked: list[_Turn], *, now: int, since: int, by: _IdsOf) -> None:
        known: dict[str, bool] = {}
        ordered = sorted(by(asked))
        try:
            for start in range(0, len(ordered), LOOKUP_BATCH):
                known |= self._lookup(ordered[start : start + LOOKUP_BATCH], since=since)
        except StoreError as error:
            log.warning("clicks of traces not looked up", traces=len(asked), error=str(error))
            self._turns[0].extendleft(reversed(asked))
            return
        for trace_id, trace in asked:
            named = trace.named.values() if trace.named else ()
            found = decide((*named, Candidate(0, trace_id)), known=known, age_ms=now - trace.first_seen)
            if found:
                self._keep(trace_id, trace, found, now=now)

    def _keep(self, trace_id: str, trace: _Trace, click_id: str, *, now: int) -> None:
        if self._traces.pop(trace_id, None) is None:
            return
        self.held -= trace.spans
        self.held_bytes -= trace.size
        self._kept += [Kept(click_id=click_id, span=span) for span in trace.take()]
        self._decided[trace_id] = (click_id, now)
        trace.fresh = trace.packed = None  # its place in the queues outlives it

    # --- holding -----------------------------------------------------------------------------------------------------------------
    def _pack_fresh(self) -> None:
        """What was not decided at once mostly never is: keep it small."""
        for trace in self._fresh:
            if trace.fresh:
                block = _pack([self._slim(span) for span in trace.fresh])
                trace.packed = [*(trace.packed or ()), block]
                trace.size += len(block)
                self.held_bytes += len(block)
            trace.fresh = None
        self._fresh.clear()

    def _slim(self, span: SpanData) -> SpanData:
        """The span without what only minutes and candidates needed of it."""
        kept = self._kept_attributes
        span.attributes = {
            name: value
            for name, value in span.attributes.items()
            if name in kept or name == "http.route" or name == "http.response.status_code" or name == "http.status_code"
        }
        span.trace_state = ""
        return span

    def _drop(self, *, now: int) -> None:
        limits = self._limits
        hold_ms = limits.hold_s * 1000
        while self._traces:
            trace = next(iter(self._traces.values()))
            too_long = now - trace.first_seen >= hold_ms
            fits = self.held <= limits.held_max_spans and self.held_bytes <= limits.held_max_bytes
            if not too_long and fits:
                break
            trace_id, _ = self._traces.popitem(last=False)
            self._again.pop(trace_id, None)
            self.held -= trace.spans
            self.held_bytes -= trace.size
            trace.packed = None
            if too_long:
                self.dropped_unpaid += trace.spans
            else:
                self.dropped_full += trace.spans
        while self._decided:
            _, decided_at = next(iter(self._decided.values()))
            if len(self._decided) <= DECIDED_MAX and now - decided_at < DECIDED_MS:
                break
            self._decided.popitem(last=False)


class _IdsOf(Protocol):
    def __call__(self, asked: Iterable[_Turn], /) -> set[str]: ...


def _trace_ids(asked: Iterable[_Turn]) -> set[str]:
    return {trace_id for trace_id, _ in asked}


def _click_ids(asked: Iterable[_Turn]) -> set[str]:
    """Clicks that the traces name, and the trace IDs themselves: those cost little more in the same query."""
    turns = list(asked)
    return _trace_ids(turns) | {click_id for _, trace in turns for click_id in trace.named or ()}
