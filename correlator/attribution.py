"""Which campaigns the conversions belong to, model by model. Whatever the model, credits sum to the conversions.

A new way to share credit is a line in `MODELS` and a query that answers the same columns.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec

from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.performance import read_report, report_params
from correlator.period import Question

#: Model -> query that shares the credit.
MODELS: Final[dict[str, str]] = {"last_click": "last_click_from_match"}


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What one campaign gets of one type of conversion. Campaign "" holds what no click could be found for."""

    model: str
    campaign: str
    type: str
    currency: str
    conversions: float
    value_micros: int
    by_method: dict[str, float]
    confidence: float


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the conversions found no click: a number people see."""

    conversions: float
    unmatched: float
    share: float | None


def attribution(store: Store, config: CorrelatorConfig, question: Question) -> list[Credit]:
    """Credits of all models, by model, campaign, type and currency."""
    params = report_params(config, question)
    found: list[Credit] = []
    for model, query in MODELS.items():
        found += _credits(model, read_report(store, query, params, question=question))
    return found


def unmatched(credit: list[Credit]) -> Unmatched:
    """The unmatched share by the first model: it is the same in all."""
    model = next(iter(MODELS))
    own = [entry for entry in credit if entry.model == model]
    total = sum(entry.conversions for entry in own)
    none = sum(entry.by_method.get("none", 0.0) for entry in own)
    return Unmatched(conversions=total, unmatched=none, share=none / total if total else None)


def _credits(model: str, rows: list[dict[str, Any]]) -> list[Credit]:
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[(row["campaign"], row["type"], row["currency"])].append(row)
    return [_credit(model, key, group) for key, group in sorted(grouped.items())]


def _credit(model: str, key: tuple[str, str, str], rows: list[dict[str, Any]]) -> Credit:
    total = sum(float(row["credit"]) for row in rows)
    sure = sum(float(row["credit"]) * float(row["mean_confidence"]) for row in rows)
    return Credit(
        model=model,
        campaign=key[0],
        type=key[1],
        currency=key[2],
        conversions=total,
        value_micros=sum(int(row["worth_micros"]) for row in rows),
        by_method={str(row["method"]): float(row["credit"]) for row in rows},
        confidence=sure / total if total else 0.0,
    )
