"""Erases people: from a request to a search that finds nothing.

A request is answered once its tombstones stand in the control database; they are keyed digests, so nothing of the person is kept while the
work goes on. From then on nothing erased is shipped again. Every step can be cut short anywhere and is begun again whole; what is done is
found clean. Each machine does it for its own journal, and all of them for the store, which they share.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import structlog
from sqlalchemy import Engine

from core.clock import HOUR_MS, Clock
from core.erasure import controlled, segments
from core.erasure.audit import Audit
from core.erasure.due import Due
from core.erasure.identifiers import Subject
from core.erasure.person import Known, person_of
from core.erasure.recalled import recalled, unknown_here, unknown_there
from core.erasure.result import ErasureInfo, NodeResult, Preview, Proof, added
from core.erasure.segments import Paused
from core.erasure.stored import StoredPeople
from core.erasure.tombstones import Tombstone, TombstoneBook, Tombstones, tombstone
from core.journal.segment import list_segments
from core.records import Erasure, Record
from core.store.client import Store

log = structlog.get_logger(__name__)

SOURCE = "erasure"


class Journal(Protocol):
    """What is needed of `core.journal.writer.JournalWriter`."""

    def append(self, record: Record, *, known_at: int | None = None) -> None: ...
    def flush(self) -> None: ...


class Eraser:
    """Of one machine. `ask` may be called by any thread; `run_once` by one."""

    def __init__(
        self,
        store: Store,
        control: Engine,
        directory: Path,
        journal: Journal,
        *,
        node: str,
        paused: Paused,
        clock: Clock,
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            node: this machine's name among those with a journal.
            paused: while inside, nothing is shipped, and what goes out afterwards has heard of every tombstone (`Shipper.paused`).
            settled: returns when every round of work that had begun is over: it may derive rows from ones that it read before.
        """
        self._store = store
        self._control = control
        self._directory = directory
        self._journal = journal
        self._paused = paused
        self._clock = clock
        self._settled = settled
        self._next_look = 0
        #: When the oldest erasure that some machine has not finished was asked for (ms), as of the last run; None = all are done.
        self.oldest_open: int | None = None
        self._people = StoredPeople(store)
        self._due = Due(control, clock=clock)
        self.audit = Audit(control, node=node, clock=clock)

    def preview(self, subject: Subject) -> Preview:
        """What an erasure would take.

        Raises:
            Invalid: `too_many`.
        """
        known = person_of(self._store, subject)
        book = TombstoneBook(self._control)
        stones = {each.digest: each.until for each in self._stones(book, known)}
        return Preview(identifiers=_counted(known), store_rows=self._people.count(Tombstones(book.pseudonyms, stones)))

    def ask(self, subject: Subject, *, by: str) -> ErasureInfo:
        """Take a request up; what is loaded into the store by now decides what belongs to the person.

        Raises:
            Invalid: `too_many`.
            StoreError: the store did not answer; nothing was begun.
        """
        known = person_of(self._store, subject)
        erasure_id = uuid4().hex
        stones = self._stones(TombstoneBook(self._control), known)
        self.audit.ask(erasure_id, stones, subject=subject.name, by=by, identifiers=_counted(known))
        return self.audit.one(erasure_id)

    def run_once(self, now: int = 0) -> None:
        """Go on with everything that is not done; cheap when there is nothing.

        1. Take up again what store or control database forgot; write the tombstone record of each erasure into the journal.
        2. Let the shipper hear of them, then rewrite segments, erase in the store and in the control database.
        3. Search everything. Done when nothing is found and no segment is being written that holds something.

        Raises:
            StoreError, OSError: the next run begins it again.
        """
        self.audit.present()
        self.oldest_open = self.audit.oldest_open()
        book = TombstoneBook(self._control)
        hourly = now >= self._next_look
        if hourly:
            self._recall(book)
        self._write_records(book)
        mine = self.audit.mine()
        if mine:
            self._erase(mine, book.of(mine))
        self._clean_due(book)
        if hourly:
            self._keep_out(book)
            self._next_look = now + HOUR_MS
        self.oldest_open = self.audit.oldest_open()

    def _erase(self, mine: dict[str, NodeResult], tombstones: Tombstones) -> None:
        with self._paused():
            pass  # whatever was on its way is in the store, and what comes after it is held against the tombstones
        swept = segments.sweep(self._directory, tombstones, paused=self._paused)
        store_rows = self._people.erase(tombstones)
        control_rows = controlled.erase(self._control, tombstones)
        self._settled()
        proof = Proof(
            journal=segments.search(self._directory, tombstones),
            store_rows=self._people.count(tombstones),
            control_rows=controlled.count(self._control, tombstones),
            searched_at=self._clock(),
        )
        # Of several erasures at once the figures are theirs together: whose line it was is not kept.
        for erasure_id, before in mine.items():
            after = NodeResult(
                segments_rewritten=before.segments_rewritten + swept.rewritten,
                journal_lines=added(before.journal_lines, swept.erased),
                store_rows=added(before.store_rows, store_rows),
                control_rows=added(before.control_rows, control_rows),
                segments_waiting=swept.waiting,
                proof=proof,
                done_at=proof.searched_at if proof.clean else 0,
            )
            self.audit.did(erasure_id, after)
        log.info(
            "erased", erasures=len(mine), lines=sum(swept.erased.values()), waiting=swept.waiting, clean=proof.clean
        )

    def _clean_due(self, book: TombstoneBook) -> None:
        """Segments in which the shipper met erased lines again."""
        due = self._due.all()
        if not due:
            return
        book.refresh()
        swept = segments.sweep(self._directory, book.all, paused=self._paused, only=due)
        if not swept.waiting:
            for name in due & {each.name for each in list_segments(self._directory)}:
                self._due.done(name)

    def _recall(self, book: TombstoneBook) -> None:
        """Control database or store may be older ones than the journal: whoever was erased since stands in them again."""
        mark = book.pseudonyms.mark  # the secret is made here at the first start, so that every backup has it
        found = recalled(unknown_here(self._store, self._control), secret=mark)
        for one in found.again:
            self.audit.ask_again(one)
        lacking = unknown_there(
            self._store, self._control, before=self._clock() - HOUR_MS
        )  # what is on its way lacks nothing
        if lacking:
            self.audit.reopen(lacking)
        if found.again or found.untold or lacking:
            log.warning(
                "store or control database are older than erasures",
                unknown_to_control_database=len(found.again),
                unknown_to_store=len(lacking),
                made_with_another_secret=len(found.untold),
            )

    def _keep_out(self, book: TombstoneBook) -> None:
        """What doors that face the Internet wrote into the control database of facts that were sent again."""
        book.refresh()
        controlled.erase(self._control, book.all)

    def _write_records(self, book: TombstoneBook) -> None:
        for erasure_id, subject, asked_at in self.audit.unjournaled():
            until = book.of([erasure_id]).until
            record = Erasure(
                ts=asked_at,
                source=SOURCE,
                fact_id=erasure_id,
                subject=subject,
                digests=list(until),
                untils=list(until.values()),
                secret=book.pseudonyms.mark,
            )
            self._journal.append(record)
            self._journal.flush()
            self.audit.journaled(erasure_id)

    def _stones(self, book: TombstoneBook, known: Known) -> list[Tombstone]:
        now = self._clock()
        return [
            tombstone(book.pseudonyms, name, value, now=now)
            for name, values in known.items()
            for value in sorted(values)
        ]


def _counted(known: Known) -> dict[str, int]:
    return {name: len(values) for name, values in known.items() if values}
