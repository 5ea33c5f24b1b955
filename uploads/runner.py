"""Reports conversions to ad platforms: one round a minute, one destination after the other.

A round of a destination:

1. Uploads whose call was under way when a process died wait again; what became too old to be told apart is a dead letter.
2. Look at the conversions that were matched or changed since the last round, decide on each (`uploads.decisions`), enter it.
3. Ask what became of the requests that the platform is working on.
4. Send what is due: read it anew, decide again, claim it in the sent log, call, settle.
5. Journal every state that changed.

A permanent error stops that destination with its word and leaves the others; it is tried again after `stopped_retry_s`. Nothing is
dropped: what a call leaves in doubt is sent again with the same event ID, for as long as the platform recognises it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
import structlog

from core.clock import DAY_MS, MINUTE_MS, Clock, now_ms, parse_rfc3339
from core.control.checkpoints import Checkpoints
from core.errors import ClicktraceError, Permanent, QuotaExceeded, SourceError, Transient
from uploads import candidates, delivery, metrics
from uploads.base import Candidate, Destination, Journal, Reads, Refused
from uploads.candidates import Place
from uploads.decisions import Decision, decide
from uploads.delivery import again
from uploads.sending import Sender
from uploads.sent_log import SentLog
from uploads.states import STATES
from uploads.upload import Change, Upload

log = structlog.get_logger(__name__)

DestinationState = Literal["waiting", "complete", "behind", "quota", "stopped"]

#: The correlator stamps a match before its rows can be read: what was stamped this long before the last look is looked at again.
OVERLAP_MS: Final = 2 * MINUTE_MS
QUOTA_WAIT_MS: Final = 5 * MINUTE_MS
#: No platform takes a conversion this old, so its row keeps nothing from going twice any more. The journal's line stays.
KEPT_MS: Final = 200 * DAY_MS
#: Beyond the calls' own time limits nothing is under way any more.
CALL_GRACE_MS: Final = MINUTE_MS


class DestinationStatus(msgspec.Struct, kw_only=True):
    """How a destination does. Times in ms, 0 = never."""

    destination: str
    kind: str
    state: DestinationState = "waiting"
    detail: str = ""
    last_success: int = 0
    next_attempt: int = 0


class UploadRunner:
    """Not thread-safe: `run_once` is called from one thread, and only by the leader."""

    def __init__(
        self,
        destinations: Sequence[Destination],
        store: Reads,
        sent_log: SentLog,
        journal: Journal,
        checkpoints: Checkpoints,
        *,
        sandbox_accounts: Iterable[str] = (),
        clock: Clock = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._destinations = list(destinations)
        self._store = store
        self._log = sent_log
        self._journal = journal
        self._checkpoints = checkpoints
        self._sandbox_accounts = frozenset(sandbox_accounts)
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._finishing = threading.Event()
        self._forgot_at = 0
        self._sender = Sender(store, sent_log, decide=self._decisions, jitter=jitter)
        self._status = {
            one.config.name: DestinationStatus(destination=one.config.name, kind=one.kind) for one in destinations
        }

    def run_once(self, now: int | None = None) -> None:
        """One round of every destination; an error of one does not end the round of the others."""
        at = self._clock() if now is None else now
        for destination in self._destinations:
            try:
                self._round(destination, at)
            except ClicktraceError as error:  # the store does not answer, or the journal cannot be written
                self._note(destination, Transient(destination.kind, str(error)), now=at)
            except Exception as error:  # a defect of one destination must not end the reports to the others
                log.exception("destination failed", destination=destination.config.name)
                self._note(destination, Permanent(destination.kind, f"defect: {type(error).__name__}"), now=at)
        self._forget(at)
        kinds = {one.config.name: one.kind for one in self._destinations}
        self._log.publish(self._journal, kind_of=lambda name: kinds.get(name, ""))
        self._measure(at)

    def finish(self) -> None:
        """End a round that is under way after its running call; what it has claimed and not sent waits again."""
        self._finishing.set()

    def statuses(self) -> list[DestinationStatus]:
        return list(self._status.values())

    def close(self) -> None:
        for destination in self._destinations:
            destination.close()

    # --- one round -------------------------------------------------------------------------------------------------------------------

    def _round(self, destination: Destination, now: int) -> None:
        config, status = destination.config, self._status[destination.config.name]
        ends = self._monotonic() + config.deadline_s
        patience = round((config.deadline_s + config.call_timeout_s) * 1000) + CALL_GRACE_MS
        self._log.recover(config.name, older_than=now - patience, now=now)
        self._collect(destination, now=now, ends=ends)
        if status.next_attempt > now:
            return
        try:
            self._confirm(destination, now=now, ends=ends)
            self._sender.send(destination, now=now, left_s=lambda: self._left_s(ends))
        except SourceError as error:
            self._note(destination, error, now=now)
        else:
            status.state, status.detail, status.last_success, status.next_attempt = "complete", "", now, 0

    def _note(self, destination: Destination, error: SourceError, *, now: int) -> None:
        """Remember what keeps a destination from working, and when it is tried again."""
        status = self._status[destination.config.name]
        status.detail = error.detail
        if isinstance(error, QuotaExceeded):
            status.state = "quota"
            status.next_attempt = now + (round(error.retry_after_s * 1000) if error.retry_after_s else QUOTA_WAIT_MS)
        elif isinstance(error, Transient):
            status.state, status.next_attempt = "behind", now + delivery.wait_ms(1, jitter=self._jitter())
        else:
            status.state = "stopped"
            status.next_attempt = now + round(destination.config.stopped_retry_s * 1000)
        name = destination.config.name
        log.warning("uploads do not get through", destination=name, state=status.state, error=error.detail)

    # --- 2. what is to be sent -------------------------------------------------------------------------------------------------------

    def _collect(self, destination: Destination, *, now: int, ends: float) -> None:
        """Enter what was matched or changed since the last round. The place is saved after the entries: a page read twice is harmless."""
        config = destination.config
        since = self._since(destination, now=now)
        place = self._place(destination)
        types = [mapping.type for mapping in config.conversions]
        while self._left_s(ends) > 0:
            fact_ids, behind = candidates.changed(self._store, place, types=types, since=since)
            decisions = list(self._decisions(destination, candidates.read(self._store, fact_ids), now=now))
            fresh = self._log.unknown([each.event.upload_id for each in decisions if not each.reason])
            arrived = candidates.reported(self._store, fresh)
            entered = self._log.decide(decisions, destination=config.name, arrived=arrived, now=now)
            for word, count in entered.items():
                state, _, reason = word.partition(":")
                metrics.DECISIONS.labels(config.name, reason or state).inc(count)
            place = behind
            self._save_place(destination, place, at_end=len(fact_ids) < candidates.PAGE)
            if len(fact_ids) < candidates.PAGE:
                return

    def _decisions(self, destination: Destination, found: Iterable[Candidate], *, now: int) -> Iterator[Decision]:
        for candidate in found:
            for mapping in destination.config.conversions:
                decision = decide(candidate, mapping, destination, sandbox_accounts=self._sandbox_accounts, now=now)
                if decision is not None:
                    yield decision

    def _since(self, destination: Destination, *, now: int) -> int:
        """Conversions before this are not ours to report: by the settings, else those from before the destination was first enabled."""
        config = destination.config
        if config.since:
            return parse_rfc3339(config.since)
        name = f"since:{config.name}"
        kept = self._checkpoints.get(name)
        if kept is None:
            self._checkpoints.put(name, str(now).encode())
            return now
        return int(kept)

    def _place(self, destination: Destination) -> Place:
        """Where to go on looking; from the start in another store, or when other conversions are looked for."""
        fresh = Place(store_id=self._store.store_id, mappings=_mappings(destination))
        kept = self._checkpoints.get(f"place:{destination.config.name}")
        place = msgspec.json.decode(kept, type=Place) if kept else fresh
        return place if (place.store_id, place.mappings) == (fresh.store_id, fresh.mappings) else fresh

    def _save_place(self, destination: Destination, place: Place, *, at_end: bool) -> None:
        if at_end:
            place = msgspec.structs.replace(place, matched_at=max(0, place.matched_at - OVERLAP_MS), fact_id="")
        self._checkpoints.put(f"place:{destination.config.name}", msgspec.json.encode(place))

    # --- 3. what the platform works on -----------------------------------------------------------------------------------------------

    def _confirm(self, destination: Destination, *, now: int, ends: float) -> None:
        """A request about which the platform says nothing must not hold up what is to be sent: it is asked about later."""
        for request_id in self._log.requests_due(destination.config.name, now=now):
            left_s = self._left_s(ends)
            if left_s <= 0:
                return
            batch = self._log.of_request(request_id)
            under_way = now - min(upload.updated_at for upload in batch)
            try:
                changes = self._answered(destination, request_id, batch, now=now, left_s=left_s)
            except QuotaExceeded:
                raise
            except Transient as error:
                log.warning("no word of a request", destination=destination.config.name, error=error.detail)
                self._log.postpone(request_id, until=now + delivery.question_wait_ms(under_way))
                if under_way <= delivery.WORKED_ON_MS:
                    return
                changes = self._in_doubt(destination, batch, error.detail, now=now)
            self._sender.settle(destination, changes, now=now)

    def _answered(
        self, destination: Destination, request_id: str, batch: list[Upload], *, now: int, left_s: float
    ) -> list[Change]:
        """What is known of an accepted request by now.

        Raises:
            SourceError: the platform does not say.
        """
        under_way = now - min(upload.updated_at for upload in batch)
        try:
            outcome = destination.outcome(request_id, deadline_s=min(left_s, destination.config.call_timeout_s))
        except Refused as refused:  # it does not know the request
            return self._in_doubt(destination, batch, refused.detail, now=now)
        if outcome is not None:
            return delivery.verdicts(batch, outcome, now=now, jitter=self._jitter())
        if under_way > delivery.WORKED_ON_MS:
            return self._in_doubt(destination, batch, "the platform has worked on it for three days", now=now)
        self._log.postpone(request_id, until=now + delivery.question_wait_ms(under_way))
        return []

    def _in_doubt(self, destination: Destination, batch: list[Upload], detail: str, *, now: int) -> list[Change]:
        """Sent again where the platform recognises events for good, else left to a person."""
        if destination.recognised_ms is None:
            return [again(upload, "unanswered", detail, now=now, jitter=self._jitter()) for upload in batch]
        return [Change(upload=upload, state="dead", reason="outcome_unknown", detail=detail) for upload in batch]

    def _left_s(self, ends: float) -> float:
        return 0.0 if self._finishing.is_set() else ends - self._monotonic()

    def _forget(self, now: int) -> None:
        if now - self._forgot_at >= DAY_MS:
            self._log.forget(before=now - KEPT_MS)
            self._forgot_at = now

    # --- figures ---------------------------------------------------------------------------------------------------------------------

    def _measure(self, now: int) -> None:
        counts, since = self._log.counts(), self._log.waiting_since(now=now)
        for name, status in self._status.items():
            mine = [count for count in counts if count.destination == name]
            for state in STATES:
                metrics.UPLOADS.labels(name, state).set(sum(one.uploads for one in mine if one.state == state))
            metrics.OLDEST_WAITING.labels(name).set((now - since.get(name, now)) / 1000)
            metrics.STOPPED.labels(name).set(status.state == "stopped")


def _mappings(destination: Destination) -> str:
    """What is looked for, so that a change of it begins from the start."""
    config = destination.config
    return msgspec.json.encode(
        [
            config.client,
            config.since,
            config.origins,
            sorted((one.type, one.target, *one.statuses) for one in config.conversions),
        ]
    ).decode()
