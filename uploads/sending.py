"""Sends what is due to one destination: read anew, decided again, claimed in the sent log, called, settled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, Literal
from uuid import uuid4

import msgspec

from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from uploads import candidates, delivery, metrics
from uploads.base import Destination, Event, Reads, Refused
from uploads.decisions import Decision
from uploads.delivery import again
from uploads.sent_log import SentLog
from uploads.upload import Change, Upload, left_out

#: When this many events are refused one by one and none is taken, it is not the events.
ALL_ALIKE: Final = 5
#: Uploads taken up in one round of a destination.
MAX_DUE: Final = 20_000

Decide = Callable[..., Iterator[Decision]]
#: Seconds until the round ends.
LeftS = Callable[[], float]


class Sender:
    """`decide` gives the decisions on candidates for a destination: ``decide(destination, candidates, now=now)``."""

    def __init__(self, store: Reads, sent_log: SentLog, *, decide: Decide, jitter: Callable[[], float]) -> None:
        self._store = store
        self._log = sent_log
        self._decide = decide
        self._jitter = jitter

    def send(self, destination: Destination, *, now: int, left_s: LeftS) -> None:
        """One round of a destination.

        Raises:
            SourceError: it does not take anything now; everything that is left waits again.
        """
        due = self._log.due(destination.config.name, now=now, limit=MAX_DUE)
        for batch in batches(due, size=destination.config.batch_size):
            if left_s() <= 0:
                return
            wanted = self._still_wanted(destination, batch, now=now)
            claimed = self._log.claim([upload for upload, _ in wanted], batch_id=uuid4().hex, now=now)
            events = {upload.upload_id: event for upload, event in wanted}
            self._deliver(destination, [(one, events[one.upload_id]) for one in claimed], now=now, left_s=left_s)

    def _still_wanted(
        self, destination: Destination, batch: Sequence[Upload], *, now: int
    ) -> list[tuple[Upload, Event]]:
        """The uploads with their events as the store tells now; what is not to be sent any more is dropped with its word."""
        config = destination.config
        found = candidates.read(self._store, sorted({upload.conversion for upload in batch}))
        decisions = {each.event.upload_id: each for each in self._decide(destination, found, now=now)}
        known = {candidate.fact_id for candidate in found}
        wanted, dropped = [], []
        for upload in batch:
            word = delivery.expired(
                upload, recognised_ms=destination.recognised_ms, give_up_ms=config.give_up_s * 1000, now=now
            )
            decision = decisions.get(upload.upload_id)
            if word:
                dropped.append((upload, "dead", word))
            elif decision is not None and decision.reason not in ("", "replayed"):  # it was news when it was entered
                dropped.append((upload, *left_out(upload, decision.reason)))
            elif decision is not None:
                # The ID it was entered with: it may have arrived under it already.
                wanted.append((upload, msgspec.structs.replace(decision.event, event_id=upload.event_id)))
            elif upload.conversion in known:
                dropped.append((upload, *left_out(upload, "no_click_id")))
            # A conversion that the store does not know waits: it may be rebuilt at this moment.
        self._log.drop(dropped, now=now)
        for _, _, word in dropped:
            metrics.DECISIONS.labels(config.name, word).inc()
        return wanted

    def _deliver(
        self, destination: Destination, claimed: list[tuple[Upload, Event]], *, now: int, left_s: LeftS
    ) -> None:
        """Send claimed uploads; a request that is refused because of some events is made again without them.

        Raises:
            SourceError: the destination does not take anything now; everything that is left waits again.
        """
        requests = [claimed] if claimed else []
        taken = refused_alone = 0
        while requests:
            batch = requests.pop(0)
            call_s = min(left_s(), destination.config.call_timeout_s)
            if call_s <= 0:
                self.settle(destination, self._release([batch, *requests], "", "", now=now), now=now)
                return
            try:
                receipt = destination.send([event for _, event in batch], deadline_s=call_s)
            except Refused as refused:
                at_fault, instead = delivery.isolate(batch, refused)
                changes = [
                    Change(upload=batch[place][0], state="dead", reason="refused", detail=detail)
                    for place, detail in at_fault.items()
                ]
                self.settle(destination, changes, now=now, call="refused")
                requests = instead + requests
                refused_alone += len(batch) == 1
                if refused_alone >= ALL_ALIKE and not taken:
                    alike = Permanent(
                        destination.kind, f"{refused_alone} events in a row were refused: {refused.detail}"
                    )
                    self.settle(destination, self._release(requests, "stopped", alike.detail, now=now), now=now)
                    raise alike from None
            except SourceError as error:
                self._not_taken(destination, batch, requests, error, now=now)
                raise
            else:
                state: Literal["accepted", "sent"] = "accepted" if receipt.request_id else "sent"
                ask_at = now + delivery.FIRST_QUESTION_MS
                changes = [
                    Change(upload=upload, state=state, request_id=receipt.request_id, next_attempt=ask_at)
                    for upload, _ in batch
                ]
                self.settle(destination, changes, now=now, call="taken")
                taken += len(batch)

    def _not_taken(
        self,
        destination: Destination,
        batch: list[tuple[Upload, Event]],
        others: list[list[tuple[Upload, Event]]],
        error: SourceError,
        *,
        now: int,
    ) -> None:
        """`batch` may have arrived when the answer is missing; the other requests were not made."""
        wait = round((getattr(error, "retry_after_s", None) or 0) * 1000)
        if isinstance(error, QuotaExceeded):
            word, uncertain = "quota", False
        elif isinstance(error, Transient):
            word, uncertain = ("unreachable", False) if error.unsent else ("unanswered", True)
        else:
            word, uncertain = "stopped", False
            wait = round(destination.config.stopped_retry_s * 1000)
        changes = [
            again(upload, word, error.detail, now=now, jitter=self._jitter(), wait=wait, uncertain=uncertain)
            for upload, _ in batch
        ]
        self.settle(destination, [*changes, *self._release(others, word, error.detail, now=now)], now=now, call=word)

    def _release(self, requests: list[list[tuple[Upload, Event]]], word: str, detail: str, *, now: int) -> list[Change]:
        """Uploads that were claimed and not sent: as if they had not been."""
        untried = [
            msgspec.structs.replace(upload, attempts=upload.attempts - 1) for each in requests for upload, _ in each
        ]
        return [again(upload, word, detail, now=now, jitter=self._jitter()) for upload in untried]

    def settle(self, destination: Destination, changes: list[Change], *, now: int, call: str = "") -> None:
        self._log.settle(changes, now=now)
        _count(destination, changes)
        if call:
            metrics.CALLS.labels(destination.config.name, call).inc()


def batches(due: Sequence[Upload], *, size: int) -> Iterator[list[Upload]]:
    """Requests of one target each, none larger than its uploads allow."""
    fits = sorted(due, key=lambda upload: (upload.target, upload.batch_limit))
    for (_, limit), same in groupby(fits, key=lambda upload: (upload.target, upload.batch_limit)):
        group = list(same)
        step = min(size, limit or size)
        yield from (group[start : start + step] for start in range(0, len(group), step))


def _count(destination: Destination, changes: Iterable[Change]) -> None:
    for change in changes:
        metrics.RESULTS.labels(destination.config.name, change.reason or change.state).inc()
