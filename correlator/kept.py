"""What an answer rests on is kept for days (`retention.<kind>`): a question that reaches further back is told so, and as of then it is not answered.

An as-of answer never changes. Rows that are gone would make it smaller than it was, so it is refused from the day on which a row it may rest on is
due to go: clicks count up to the longest look-back of the catalogue before the period.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from core.clock import DAY_MS, to_rfc3339
from core.errors import Invalid
from correlator.config import CorrelatorConfig, days_ms
from correlator.period import Question

#: Kinds that a figure is counted from.
COUNTED_FROM: Final = ("click", "conversion")
#: Those, and what the page saw on the way between them.
STEPPED_FROM: Final = (*COUNTED_FROM, "touch")
#: The way of one click.
JOURNEYED_FROM: Final = (*STEPPED_FROM, "span")
GONE: Final = 410


def kept_from(days: Mapping[str, int], kinds: Collection[str], *, now: int) -> int:
    """Since when (ms of event time) everything of these kinds is kept; 0 = for good."""
    return max((now - days[kind] * DAY_MS for kind in kinds if days.get(kind)), default=0)


def within_retention(
    question: Question,
    config: CorrelatorConfig,
    days: Mapping[str, int],
    kinds: Collection[str],
    *,
    earlier_ms: int = 0,
) -> Question:
    """The question with the moment from which its answer is whole.

    Args:
        days: retention in days by kind; 0 or absent = for good.
        kinds: what the answer rests on.
        earlier_ms: how far before its period the answer looks for more than clicks.

    Raises:
        Invalid: `beyond_retention`, as-of questions only.
    """
    since = kept_from(days, kinds, now=question.now)
    if question.as_of is None or not since:
        return msgspec.structs.replace(question, kept_from=since)
    clicks = kept_from(days, {"click"}.intersection(kinds), now=question.now)
    limit = max(since, clicks + lookback_ms(config)) + earlier_ms
    if question.since < limit:
        detail = f"as_of: what this would rest on is kept for some days only (retention); answered for periods from {to_rfc3339(limit)} on"
        raise Invalid("beyond_retention", detail, status=GONE)
    return question


def lookback_ms(config: CorrelatorConfig) -> int:
    """How far before a conversion its click may lie, at most."""
    return max(days_ms(entry.lookback_days) for entry in (config.unlisted, *config.catalogue.values()))
