"""What follows from a platform's answer: pure. Times in ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from uploads.base import Outcome, Refused
from uploads.upload import Change, Upload

Item = TypeVar("Item")

FIRST_WAIT_MS: Final = MINUTE_MS
LONGEST_WAIT_MS: Final = HOUR_MS
#: An accepted request is asked about after half an hour, then less and less often ("Diagnostics", Data Manager API).
FIRST_QUESTION_MS: Final = 30 * MINUTE_MS
LONGEST_QUESTION_MS: Final = 6 * HOUR_MS
#: A request that is still worked on after this long is taken for lost.
WORKED_ON_MS: Final = 3 * DAY_MS
#: The platform recognises an event by its ID for some time; what is in doubt is not sent again so close to its end.
RECOGNISED_MARGIN_MS: Final = HOUR_MS


def wait_ms(attempts: int, *, jitter: float) -> int:
    """Until the next attempt after `attempts` failed ones; `jitter` in [0, 1) spreads them over half of it."""
    doublings: int = min(max(attempts - 1, 0), 10)
    whole = min(FIRST_WAIT_MS << doublings, LONGEST_WAIT_MS)
    return round(whole * (0.5 + 0.5 * jitter))


def question_wait_ms(asked_for_ms: int) -> int:
    """Until the next question about an accepted request: as long again as it has been under way."""
    return min(max(asked_for_ms, FIRST_QUESTION_MS), LONGEST_QUESTION_MS)


def expired(upload: Upload, *, recognised_ms: int | None, give_up_ms: int, now: int) -> str:
    """The word under which a waiting upload becomes a dead letter by its age, else ""."""
    doubt_ms = now - upload.uncertain_since if upload.uncertain_since is not None else 0
    if recognised_ms is not None and doubt_ms > recognised_ms - RECOGNISED_MARGIN_MS:
        return "outcome_unknown"
    return "gave_up" if upload.attempts > 0 and now - upload.decided_at > give_up_ms else ""


def isolate(batch: Sequence[Item], refused: Refused) -> tuple[dict[int, str], list[list[Item]]]:
    """After a whole request was refused: (events at fault, by place, with the platform's words; the requests to make instead).

    Where the platform does not name them, the batch is cut in halves until one event stands alone.
    """
    named = {place: detail for place, detail in refused.events.items() if 0 <= place < len(batch)}
    if not named and len(batch) == 1:
        return {0: refused.detail}, []
    if not named:
        middle = len(batch) // 2
        return {}, [list(batch[:middle]), list(batch[middle:])]
    rest = [item for place, item in enumerate(batch) if place not in named]
    return named, [rest] if rest else []


def verdicts(batch: Sequence[Upload], outcome: Outcome, *, now: int, jitter: float) -> list[Change]:
    """What became of the uploads of an accepted request.

    The platform counts failures by reason and does not say which event failed. So where only a part failed, the events are sent again
    in requests of half the size: those that arrived are recognised by their ID, and in the end each failure stands alone.
    """
    detail = ", ".join(f"{count} x {reason}" for reason, count in sorted(outcome.failures.items()))
    if not outcome.failures:
        word = "already_there" if outcome.there >= len(batch) else ""
        return [Change(upload=upload, state="sent", reason=word, request_id=upload.request_id) for upload in batch]
    if outcome.retryable:
        return [again(upload, "platform_error", detail, now=now, jitter=jitter) for upload in batch]
    if len(batch) == 1 or (outcome.failed_all and len(outcome.failures) == 1 and not outcome.there):
        return [
            Change(upload=upload, state="dead", reason="refused", detail=detail, request_id=upload.request_id)
            for upload in batch
        ]
    half = max(1, len(batch) // 2)
    return [
        Change(upload=upload, state="pending", reason="partial", detail=detail, next_attempt=now, batch_limit=half)
        for upload in batch
    ]


def again(
    upload: Upload,
    reason: str,
    detail: str,
    *,
    now: int,
    jitter: float,
    wait: int = 0,
    uncertain: bool = False,
) -> Change:
    """It waits for its next attempt, at least `wait`."""
    return Change(
        upload=upload,
        state="pending",
        reason=reason,
        detail=detail,
        next_attempt=now + max(wait, wait_ms(upload.attempts, jitter=jitter)),
        batch_limit=upload.batch_limit,
        uncertain=uncertain,
    )
