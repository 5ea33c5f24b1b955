"""The sent log with PostgreSQL as the control database, from several processes' connections at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from tests.postgresql import nodes
from tests.uploads.events import event
from uploads.decisions import Decision
from uploads.sent_log import SentLog
from uploads.upload import Change

NOW = 1_790_000_000_000
UPLOADS = 200


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    with nodes(tmp_path_factory.mktemp("nodes"), count=4) as engines:
        yield engines


def test_what_several_claim_at_once_is_given_to_one_and_its_life_is_kept(engines: list[Engine]) -> None:
    logs = [SentLog(engine) for engine in engines]
    decisions = [Decision(event=event(number), reason="", not_before=NOW) for number in range(UPLOADS)]
    assert logs[0].decide(decisions, destination="shop", now=NOW) == {"pending:": UPLOADS}
    assert logs[1].decide(decisions, destination="shop", now=NOW + 1) == {}
    due = logs[0].due("shop", now=NOW, limit=UPLOADS)

    def claim(number: int) -> list[str]:
        taken = logs[number].claim(due, batch_id=f"batch-{number}", now=NOW)
        logs[number].settle([Change(upload=each, state="sent") for each in taken], now=NOW)
        return [each.upload_id for each in taken]

    with ThreadPoolExecutor(len(logs)) as pool:
        taken = [identifier for part in pool.map(claim, range(len(logs))) for identifier in part]
    assert sorted(taken) == sorted(each.upload_id for each in due)
    assert [(one.state, one.uploads) for one in logs[0].counts()] == [("sent", UPLOADS)]


def test_two_reports_of_one_order_are_one_event_and_old_rows_are_dropped(engines: list[Engine]) -> None:
    log = SentLog(engines[0])
    both = [Decision(event=event(number, order_id="A-1"), reason="", not_before=NOW) for number in (1001, 1002)]
    assert log.decide(both, destination="other", now=NOW) == {"pending:": 1, "skipped:duplicate_event": 1}
    (pending,) = log.due("other", now=NOW, limit=9)
    log.drop([(pending, "skipped", "consent_refused")], now=NOW)
    assert log.decide(both[1:], destination="other", now=NOW) == {"pending:": 1}, "the event ID is free again"
    log.publish(_Nowhere(), kind_of=lambda _name: "test")
    assert log.forget(before=NOW + 1) == UPLOADS + 1, "what waits is kept"


class _Nowhere:
    def append_many(self, records: object) -> int:
        return 0
