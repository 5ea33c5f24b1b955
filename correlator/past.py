"""Matches as they were known at a moment of the past, worked out once for an answer that asks for them in several queries."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from core.errors import StoreError
from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig
from correlator.matching import COLUMNS, FACT_COLUMNS, directs
from correlator.period import Question
from correlator.report_queries import report_params

#: One statement for all three is planned for seconds, and each report would plan it anew.
_TABLES: Final = ("past_fact", "past_direct", "past_match")


@contextmanager
def matched(store: Store, config: CorrelatorConfig, question: Question) -> Iterator[Question]:
    """The question with its matches worked out, to be asked inside the block. One that is not about the past passes as it is.

    1. Match in stages, as the tick does, into tables under a number of its own.
    2. Let the caller read; then drop them.

    An engine that may only be read gets the question as it is, too: each query then works the matches out by itself.
    """
    if question.as_of is None or question.matched_in:
        yield question
        return
    params = report_params(config, question)
    with _numbered_rows(store) as number:
        kept = _attempted(lambda: _match(store, params, number))
        yield msgspec.structs.replace(question, matched_in=_rows("past_match", number)) if kept else question


@contextmanager
def facts_of(store: Store, targets: str, params: Mapping[str, object]) -> Iterator[str]:
    """A query for the facts of the conversions in the query `targets`, kept for the block where the engine lets us."""
    facts = queries.compose("fact_from_conversion", {"targets": targets})
    with _numbered_rows(store) as number:
        kept = _attempted(lambda: _keep(store, "past_fact", FACT_COLUMNS, facts, {**params, "question": number}))
        yield _rows("past_fact", number) if kept else facts


@contextmanager
def _numbered_rows(store: Store) -> Iterator[int]:
    """A number for rows of the three tables, which are gone afterwards."""
    number = secrets.randbits(63)
    try:
        yield number
    finally:
        for table in _TABLES:
            _attempted(partial(store.command, f"ALTER TABLE {table} DROP PARTITION {number:d}"))


def _attempted(write: Callable[[], object]) -> bool:
    """Whether the engine let us write; False where it may only be read (code 164, READONLY; our own read protocol answers with the number)."""
    try:
        write()
    except StoreError as error:
        if "READONLY" not in str(error) and "Code: 164" not in str(error):
            raise
        return False
    return True


def _match(store: Store, given: Mapping[str, object], number: int) -> None:
    params = {**given, "question": number}
    facts, found = _rows("past_fact", number), _rows("past_direct", number)
    targets = {"targets": queries.text("conversion_in_period")}
    _keep(store, "past_fact", FACT_COLUMNS, queries.compose("fact_from_conversion", targets), params)
    _keep(store, "past_direct", ("fact_id", "best"), directs(facts), params)
    _keep(store, "past_match", COLUMNS, queries.compose("match_from_fact", {"facts": facts, "directs": found}), params)


def _keep(store: Store, table: str, columns: tuple[str, ...], select: str, params: Mapping[str, object]) -> None:
    named = queries.compose("numbered", {"columns": ", ".join(columns), "found": select})
    queries.insert(store, table, ("question", *columns), named, params)


def _rows(table: str, number: int) -> str:
    """The query for one question's rows; the number is ours, not a caller's, and stands in the text because no report binds it."""
    return f"SELECT * EXCEPT (question, asked_at) FROM {table} WHERE question = {number:d}"
