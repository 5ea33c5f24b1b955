"""What to fetch next: pure. Times in ms since the epoch, windows half-open [since, until)."""

from __future__ import annotations

from typing import Final

import msgspec

from collectors.source_config import SourceConfig
from core.clock import DAY_MS, HOUR_MS

#: What a source that was never read brings before its first watermark; the rest of a back-fill comes after it.
FIRST_MS: Final = 30 * DAY_MS


class Window(msgspec.Struct, frozen=True, kw_only=True):
    since: int
    until: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source was read; kept as a checkpoint after every window.

    `read_through` is the event time up to which everything was asked for; what is *complete* lags behind it (`complete_through`).
    `restated_at` is when the last full re-read of the restatement period ended, `resume_from` where an unfinished one goes on.
    `filled_from` is the event time from which on everything was asked for.
    """

    read_through: int = 0
    read_at: int = 0
    restated_at: int = 0
    resume_from: int = 0
    filled_from: int = 0


def plan(position: Position, config: SourceConfig, *, now: int) -> list[Window]:
    """The windows of one run, oldest first, none longer than `window_s`.

    1. Never read: the back-fill's newest 30 days; `older` has the rest.
    2. An unfinished restatement, or one that is due: everything the source may have restated.
    3. Else the recent span, or from where the last read ended if that is longer ago.
    """
    span = config.window_s * 1000
    if position.read_through == 0:
        since = now - min(config.backfill_s * 1000, FIRST_MS)
    elif restatement_due(position, config, now=now):
        since = position.resume_from or now - config.restatement_s * 1000
    else:
        since = now - config.recent_s * 1000
    if position.read_through:
        # Late rows: what was read less than the documented lag before the event may have been incomplete.
        since = min(since, position.read_through - config.documented_lag_s * 1000)
    since -= since % HOUR_MS
    edges = list(range(since, now, span))
    return [Window(since=start, until=min(start + span, now)) for start in edges]


def older(position: Position, config: SourceConfig, *, now: int) -> list[Window]:
    """The windows that a back-fill still lacks, or lacks because it was made longer since, newest first: each that is read moves
    `filled_from` back, so an interruption costs one window."""
    wanted = now - config.backfill_s * 1000
    wanted -= wanted % HOUR_MS
    if not position.filled_from:
        return []
    edges = range(position.filled_from, wanted, -config.window_s * 1000)
    return [Window(since=max(wanted, end - config.window_s * 1000), until=end) for end in edges]


def reach_back(position: Position, window: Window) -> Position:
    """The position after one of the `older` windows was read completely."""
    return msgspec.structs.replace(position, filled_from=window.since)


def restatement_due(position: Position, config: SourceConfig, *, now: int) -> bool:
    if config.restatement_s == 0:
        return False
    return position.resume_from > 0 or now - position.restated_at >= config.restatement_interval_s * 1000


def advance(position: Position, window: Window, config: SourceConfig, *, last: bool, now: int) -> Position:
    """The position after `window` was read completely; `last` when it was the run's last one."""
    due = restatement_due(position, config, now=now)
    newest = window.until >= position.read_through
    return Position(
        read_through=max(position.read_through, window.until),
        # Only reading the newest span again tells that its late rows have come.
        read_at=now if newest else position.read_at,
        restated_at=now if last and due else position.restated_at,
        resume_from=0 if last else (window.until if due else position.resume_from),
        filled_from=min(position.filled_from or window.since, window.since),
    )


def complete_through(position: Position, config: SourceConfig) -> int:
    """Event time (ms) up to which the source is complete: it documents its data to be there `documented_lag_s` later.

    0 while nothing was read. A window that ends in the past is complete once the lag has passed since; the newest one is
    complete up to the lag before it was read.
    """
    if position.read_through == 0:
        return 0
    return min(position.read_through, position.read_at - config.documented_lag_s * 1000)
