"""Try again what can help, with jitter, inside a deadline (tenacity does the waiting)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import tenacity

from core.errors import QuotaExceeded, SourceError

Result = TypeVar("Result")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts` calls at most; before the n-th a random wait up to `first_wait_s` * 2^(n-2), at most `longest_wait_s`."""

    attempts: int = 3
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0


def call(
    work: Callable[[float], Result],
    *,
    policy: RetryPolicy,
    deadline_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call ``work(seconds left)`` until it succeeds, fails for good, or no attempt fits before the deadline.

    Raises:
        SourceError: the last one; a Permanent one at once, a QuotaExceeded one as soon as its wait does not fit.
    """
    ends = monotonic() + deadline_s

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, QuotaExceeded) and error.retry_after_s is not None:
            return error.retry_after_s
        return tenacity.wait_random_exponential(multiplier=policy.first_wait_s, max=policy.longest_wait_s)(state)

    def stop(state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= policy.attempts or monotonic() + state.upcoming_sleep >= ends

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, SourceError) and error.retryable),
        wait=wait,
        stop=stop,
        sleep=sleep,
        reraise=True,
    )
    return retrying(lambda: work(max(0.05, ends - monotonic())))
