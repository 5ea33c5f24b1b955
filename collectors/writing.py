"""From records to journal lines: new and changed facts are written with one append, unchanged ones are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from collectors.base import Journal
from collectors.versions import Fact, Versions
from core.records import Record


def write_changes(journal: Journal, versions: Versions, records: Sequence[Record]) -> list[Record]:
    """Journal what is new or changed; answers what was written.

    Raises:
        JournalError: nothing was written.
    """
    facts = [cast(Fact, record) for record in records if getattr(record, "fact_id", "")]
    unchanged = {id(fact) for fact, same in zip(facts, versions.unchanged(facts), strict=True) if same}
    fresh = [record for record in records if id(record) not in unchanged]
    if fresh:
        journal.append_many(fresh)
        versions.remember(cast(Fact, record) for record in fresh if getattr(record, "fact_id", ""))
    return fresh
