"""The traffic step of a tick: judge what is due, then show the share of flagged hits and conversions as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from core.clock import HOUR_MS
from core.metric_catalogue import value
from core.store.client import Store
from correlator import metrics
from correlator.config import TrafficConfig
from correlator.period import Question
from correlator.traffic_quality import judge_new, judged_through
from correlator.traffic_report import Quality, traffic
from correlator.traffic_words import CONVERSION_WORDS, HIT_WORDS

#: The label of what carries at least one word.
ANY: Final = "any"


def judge_and_show(store: Store, *, config: TrafficConfig, now: int) -> int:
    """Judge the windows that are due at `now` (ms); how many there were. The metrics speak of the last judged hour."""
    windows = judge_new(store, config=config, now=now)
    if windows:
        judged = judged_through(store, now=now)
        question = Question(since=judged - HOUR_MS, until=judged, now=now)
        show(traffic(store, config, question).rows)
    return windows


def show(rows: Iterable[Quality]) -> None:
    """Set both gauges for every word of the closed lists; without hits the shares are 0."""
    hits: Counter[str] = Counter()
    sales: Counter[str] = Counter()
    total = sold = 0
    for row in rows:
        total, sold = total + row.hits, sold + row.conversions
        hits.update({**row.hits_by_flag, ANY: row.flagged_hits})
        sales.update({**row.conversions_by_flag, ANY: row.flagged_conversions})
    for word in (*HIT_WORDS, ANY):
        share = value("flagged_hits_share", flagged_hits=hits[word], hits=total)
        metrics.FLAGGED_RATIO.labels(word).set(share or 0.0)
    for word in (*CONVERSION_WORDS, ANY):
        share = value("flagged_conversions_share", flagged_conversions=sales[word], recorded_conversions=sold)
        metrics.FLAGGED_CONVERSIONS_RATIO.labels(word).set(share or 0.0)
