"""Which campaigns the conversions belong to, model by model. Whatever the model, credits sum to the conversions, to the cent.

All models are worked out in one pass over the paths (`sql/credit_from_path.sql`), in whole millionths of a conversion and whole micros, so
sums are exact in every grouping. A new way to share credit is a line in `MODELS` and its weights there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any, Final

import msgspec

from core.errors import Invalid
from core.metric_catalogue import value
from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig
from correlator.paths import days, inline, walked
from correlator.period import Question

#: In the order of the query's arrays.
MODELS: Final = ("last_click", "first_click", "linear", "time_decay", "position_based")
#: What a whole conversion is in credits.
WHOLE: Final = 1_000_000

Key = tuple[str, str, str, str]


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What one value of the dimension gets of one type of conversion. "" holds what no click could be found for, or names no value.

    `credit_micros` are millionths of a conversion and exact, `conversions` the same number as a fraction. `assisted` are conversions that it
    had a click of, but not the last; they and their value are the same in all models, and sum to nothing.
    """

    model: str
    key: str
    type: str
    origin: str
    currency: str
    conversions: float
    credit_micros: int
    value_micros: int
    by_method: dict[str, float]
    confidence: float
    assisted: int
    assisted_value_micros: int


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the conversions found no click: a number people see."""

    conversions: float
    unmatched: float
    share: float | None


class _Sum(msgspec.Struct):
    """What one value gets by one method, model by model in the order of `MODELS`."""

    credits: list[int]
    worths: list[int]
    confidence: float = 0.0
    assisted: int = 0
    assisted_worth: int = 0


def model_named(name: str) -> str:
    """The model of that name, "" = all.

    Raises:
        Invalid: `bad_model`.
    """
    if name and name not in MODELS:
        raise Invalid("bad_model", f"model: {name!r} is none of {', '.join(MODELS)}")
    return name


def attribution(store: Store, config: CorrelatorConfig, question: Question, *, notes: bool = True) -> list[Credit]:
    """Credits of all models, by model, the dimension's value, type, origin and currency.

    With a campaign only the credit of its clicks is shown, out of the same paths. `notes=False` for a store that may only be read.
    """
    only = {"campaign_only": question.campaign, "half_life_ms": config.attribution.half_life_ms}
    sums: dict[Key, dict[str, _Sum]] = defaultdict(dict)
    for day in days(question):
        with walked(store, config, day) if notes else nullcontext(inline(config, day)) as way:
            sql = queries.compose("credit_from_path", {"paths": way.paths})
            _add(sums, queries.read(store, sql, {**way.params, **only}))
    return [_credit(number, key, methods) for number, _ in enumerate(MODELS) for key, methods in sorted(sums.items())]


def unmatched(credit: list[Credit]) -> Unmatched:
    """The unmatched share by the first model: it is the same in all."""
    own = [entry for entry in credit if entry.model == MODELS[0]]
    total = sum(entry.credit_micros for entry in own) / WHOLE
    none = sum(entry.by_method.get("none", 0.0) for entry in own)
    share = value("unmatched_share", unmatched_conversions=none, recorded_conversions=total)
    return Unmatched(conversions=total, unmatched=none, share=share)


def _add(sums: dict[Key, dict[str, _Sum]], rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        methods = sums[(row["value"], row["type"], row["origin"], row["currency"])]
        one = methods.setdefault(row["method"], _Sum(credits=[0] * len(MODELS), worths=[0] * len(MODELS)))
        one.credits = [have + more for have, more in zip(one.credits, row["credits"], strict=True)]
        one.worths = [have + more for have, more in zip(one.worths, row["worths"], strict=True)]
        one.confidence = float(row["confidence"])
        one.assisted += int(row["assisted"])
        one.assisted_worth += int(row["assisted_worth"])


def _credit(number: int, key: Key, methods: Mapping[str, _Sum]) -> Credit:
    total = sum(one.credits[number] for one in methods.values())
    sure = sum(one.credits[number] * one.confidence for one in methods.values())
    return Credit(
        model=MODELS[number],
        key=key[0],
        type=key[1],
        origin=key[2],
        currency=key[3],
        conversions=total / WHOLE,
        credit_micros=total,
        value_micros=sum(one.worths[number] for one in methods.values()),
        by_method={name: one.credits[number] / WHOLE for name, one in sorted(methods.items()) if one.credits[number]},
        confidence=sure / total if total else 0.0,
        assisted=sum(one.assisted for one in methods.values()),
        assisted_value_micros=sum(one.assisted_worth for one in methods.values()),
    )
