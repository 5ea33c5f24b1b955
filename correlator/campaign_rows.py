"""A campaign's description as the store has it: of one campaign, asked again only when something new was said of campaigns or their cost.

Merging what platform and people said is the dearest query of a click's journey, and the answer stands until the next read of
a platform. What is kept is kept for one process and one open store.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final
from weakref import WeakKeyDictionary

from core.store.client import Store
from core.store.lasting import Lasting
from correlator import queries
from correlator.period import Question
from correlator.report_queries import visible_to

Row = dict[str, Any]
#: Who asks what: campaign, clients, as-of time (ms).
_Asked = tuple[str, tuple[str, ...], int]
#: So many answers at most of one state of the tables; a row is about a kilobyte.
MAX_KEPT: Final = 5_000

_kept: Final[WeakKeyDictionary[Store, Lasting[dict[_Asked, list[Row]]]]] = WeakKeyDictionary()
_lock: Final = Lock()


def campaign_rows(store: Store, question: Question) -> list[Row]:
    """Rows of `sql/campaign_facts.sql` that the question may see: of its campaign, or of all. Not to be changed by who gets them.

    Raises:
        StoreError: the store does not answer.
    """
    if not question.campaign:
        return _read(store, question)
    answers = _answers(store)
    asked = (question.campaign, question.clients, question.known_by)
    found = answers.get(asked)
    if found is None:
        found = _read(store, question)
        if len(answers) < MAX_KEPT:
            answers[asked] = found
    return found


def _answers(store: Store) -> dict[_Asked, list[Row]]:
    """What was answered since the tables changed last: an empty one when they have changed."""
    with _lock:
        lasting = _kept.setdefault(store, Lasting("campaign", "spend"))
        return lasting.answer(store, dict)


def _read(store: Store, question: Question) -> list[Row]:
    sql = queries.compose("campaign_facts", {"visible_campaign": visible_to(question)["visible_campaign"]})
    return queries.read(store, sql, question.params())
