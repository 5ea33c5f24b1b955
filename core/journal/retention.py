"""Compresses segments that are shipped and drops those that are no longer kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from core.journal import segment as segments
from core.journal.segment import created_ms, list_segments, pending_path


def compress_next(directory: Path, finished: Collection[str], *, shipped: Mapping[str, int]) -> str:
    """Compress the oldest plain segment that is finished; its name, or ``""`` when there is none.

    Args:
        finished: segments that are final and in this store as a whole.
        shipped: how far each segment is in every store; one that has unshipped whole lines somewhere stays plain.
    """
    for segment in list_segments(directory):
        if not segment.compressed and segment.name in finished:
            end = _whole_lines(segment)
            if end and shipped.get(segment.name, 0) >= end:
                segments.compress(segment)
                return segment.name
    return ""


def prune(directory: Path, finished: Collection[str], *, before: int) -> list[str]:
    """Delete finished segments begun before a time (ms); their names. What is not in the store is never deleted."""
    dropped: list[str] = []
    for segment in list_segments(directory):
        if created_ms(segment.name) >= before:
            break  # names sort by time
        if segment.name in finished:
            segment.path.unlink(missing_ok=True)
            pending_path(directory, segment.name).unlink(missing_ok=True)
            dropped.append(segment.name)
    return dropped


def _whole_lines(segment: segments.Segment) -> int:
    """Where the last whole line ends."""
    size = segments.size(segment)
    tail_start = max(0, size - (1 << 20))
    tail = segments.read_range(segment, start=tail_start, end=size)
    newline = tail.rfind(b"\n")
    return tail_start + newline + 1 if newline >= 0 else 0
