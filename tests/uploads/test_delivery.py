"""What follows from a platform's answer."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import HOUR_MS, MINUTE_MS
from uploads import delivery
from uploads.base import Outcome, Refused
from uploads.sending import batches
from uploads.upload import Upload

NOW = 1_790_000_000_000
UPLOAD = Upload(
    upload_id="1", destination="d", target="t", conversion="c", event_id="e", client="", state="accepted", reason="", detail="", event_ts=NOW,
    value_micros=0, currency="", attempts=1, uncertain_since=None, next_attempt=NOW, batch_limit=0, batch_id="b", request_id="r",
    decided_at=NOW, updated_at=NOW,
)  # fmt: skip


def uploads(count: int) -> list[Upload]:
    return [msgspec.structs.replace(UPLOAD, upload_id=str(number)) for number in range(count)]


@given(count=st.integers(1, 60), bad=st.sets(st.integers(0, 59)), named=st.booleans())
def test_whatever_is_wrong_ends_up_alone_and_everything_else_arrives_once(
    count: int, bad: set[int], named: bool
) -> None:
    arrived: list[int] = []
    dead: list[int] = []
    requests = [list(range(count))]
    while requests:
        batch = requests.pop(0)
        wrong = {place: "no" for place, item in enumerate(batch) if item in bad}
        if not wrong:
            arrived += batch
            continue
        at_fault, instead = delivery.isolate(batch, Refused("no", events=wrong if named else {}))
        dead += [batch[place] for place in at_fault]
        requests += instead
    assert sorted(dead) == sorted(bad & set(range(count)))
    assert sorted(arrived) == sorted(set(range(count)) - bad)


def test_a_place_that_is_not_in_the_request_names_nobody() -> None:
    at_fault, instead = delivery.isolate(["a", "b"], Refused("no", events={7: "no"}))
    assert (at_fault, instead) == ({}, [["a"], ["b"]])


@pytest.mark.parametrize(
    ("count", "outcome", "expected"),
    [
        (3, Outcome(), [("sent", "", 0)] * 3),
        (3, Outcome(there=3), [("sent", "already_there", 0)] * 3),
        (3, Outcome(there=1), [("sent", "", 0)] * 3),
        (1, Outcome(failures={"INVALID_GCLID": 1}), [("dead", "refused", 0)]),
        (3, Outcome(failures={"EVENT_TOO_OLD": 3}, failed_all=True), [("dead", "refused", 0)] * 3),
        (3, Outcome(failures={"A": 1, "B": 2}, failed_all=True), [("pending", "partial", 1)] * 3),
        (5, Outcome(failures={"INVALID_GCLID": 1}), [("pending", "partial", 2)] * 5),
        (2, Outcome(failures={"INTERNAL_ERROR": 2}, retryable=True, failed_all=True), [("pending", "platform_error", 0)] * 2),
    ],
)  # fmt: skip
def test_counts_of_failures_decide_what_becomes_of_a_request(
    count: int, outcome: Outcome, expected: list[tuple[str, str, int]]
) -> None:
    changes = delivery.verdicts(uploads(count), outcome, now=NOW, jitter=0.5)
    assert [(change.state, change.reason, change.batch_limit) for change in changes] == expected


@given(attempts=st.integers(0, 500), jitter=st.floats(0, 0.999))
def test_waits_grow_with_jitter_up_to_an_hour(attempts: int, jitter: float) -> None:
    wait = delivery.wait_ms(attempts, jitter=jitter)
    assert MINUTE_MS // 2 <= wait <= HOUR_MS
    assert delivery.wait_ms(attempts + 1, jitter=jitter) >= wait


@pytest.mark.parametrize(
    ("uncertain_h", "attempts", "age_h", "word"),
    [
        (None, 0, 1_000, ""),
        (None, 1, 71, ""),
        (None, 1, 73, "gave_up"),
        (46, 2, 46, ""),
        (48, 2, 48, "outcome_unknown"),
    ],
)
def test_what_is_in_doubt_is_not_sent_again_when_the_platform_would_not_notice(
    uncertain_h: int | None, attempts: int, age_h: int, word: str
) -> None:
    upload = msgspec.structs.replace(
        UPLOAD,
        attempts=attempts,
        decided_at=NOW - age_h * HOUR_MS,
        uncertain_since=None if uncertain_h is None else NOW - uncertain_h * HOUR_MS,
    )
    found = delivery.expired(upload, recognised_ms=48 * HOUR_MS, give_up_ms=72 * HOUR_MS, now=NOW)
    assert found == word


def test_a_platform_that_recognises_events_for_good_leaves_nothing_in_doubt() -> None:
    upload = msgspec.structs.replace(UPLOAD, uncertain_since=NOW - 60 * HOUR_MS)
    assert delivery.expired(upload, recognised_ms=None, give_up_ms=72 * HOUR_MS, now=NOW) == ""


def test_questions_about_a_request_become_rarer() -> None:
    waits = [delivery.question_wait_ms(minutes * MINUTE_MS) // MINUTE_MS for minutes in (1, 30, 60, 120, 10_000)]
    assert waits == [30, 30, 60, 120, 360]


def test_a_request_has_one_target_and_no_more_than_its_uploads_allow() -> None:
    due = [
        msgspec.structs.replace(UPLOAD, upload_id=f"{target}{limit}{number}", target=target, batch_limit=limit)
        for target in "ab"
        for limit in (0, 2)
        for number in range(5)
    ]
    sizes = [(batch[0].target, batch[0].batch_limit, len(batch)) for batch in batches(due, size=4)]
    assert sizes == [
        ("a", 0, 4), ("a", 0, 1), ("a", 2, 2), ("a", 2, 2), ("a", 2, 1),
        ("b", 0, 4), ("b", 0, 1), ("b", 2, 2), ("b", 2, 2), ("b", 2, 1),
    ]  # fmt: skip
