"""A campaign's period against what it may be compared with: the same hours yesterday and a week ago, the trailing seven days, the nearest
control campaign, and its target.

Every period is told by the same figures and stands with how much of it is known at its age; numbers of a young period are divided by that
share before they are compared (`adjusted`), so that "fewer so far" is not taken for "fewer". Rates are of clicks that had their chance, whatever
the period's age, and their difference comes with its interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator.campaigns import CampaignFacts, campaigns
from correlator.completeness import Figure
from correlator.config import CorrelatorConfig
from correlator.control_campaign import Control, find_control
from correlator.development import Completeness
from correlator.intervals import Interval, difference
from correlator.performance import Performance
from correlator.period import Question
from correlator.roi import RoiRow, roi
from correlator.standing import Ground, shown_in

Name = Literal["yesterday", "last_week", "trailing_7d", "control", "target"]
#: Why there is nothing to compare with: the period is longer than the shift; no campaign is near enough, or there is too little history; nobody
#: set a target; nothing happened then.
Missing = Literal["", "overlaps", "no_control", "no_target", "nothing_then"]
_SHIFTS: Final[dict[Name, int]] = {"yesterday": DAY_MS, "last_week": 7 * DAY_MS}
TRAILING_MS: Final = 7 * DAY_MS
_TOLD: Final[tuple[Figure, ...]] = ("conversions",)
#: Of a period of which still less is known nothing can be said by dividing by it.
LEAST_KNOWN: Final = 0.1


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers for a time as long as the period compared; of a longer time the mean. None = not known."""

    clicks: float | None = None
    conversions: float | None = None
    spend_micros: int | None = None
    value_micros: int | None = None
    conversion_rate: Interval | None = None
    cost_per_conversion_micros: int | None = None
    cost_per_lead_micros: int | None = None
    roas: float | None = None


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One thing compared with. `changes` = now / then - 1 of each figure that both have.

    `rate_difference`: now - then, with its 95 % interval; `apart` = the interval leaves out zero. Of a control, `figures` are what
    the campaign would have come to had it gone from its trailing seven days as the control did from its own.
    """

    name: Name
    missing: Missing = ""
    since_ms: int = 0
    until_ms: int = 0
    campaign: str = ""
    score: float | None = None
    currency: str = ""
    figures: Figures | None = None
    known: Completeness | None = None
    changes: dict[str, float] = {}
    rate_difference: Interval | None = None
    apart: bool | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`known` is of the conversions; `adjusted` = the numbers of the changes were divided by it."""

    campaign: str
    since_ms: int
    until_ms: int
    currency: str
    figures: Figures
    known: Completeness | None
    adjusted: bool
    against: list[Against]


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A period as it is shown, and as it is compared: with the numbers that it should come to."""

    shown: Figures
    compared: Figures
    known: Completeness | None
    row: Performance | None
    currency: str


def compare(store: Store, config: CorrelatorConfig, question: Question, *, ground: Ground) -> Comparison:
    """The question's campaign in its period against everything there is to compare with, in the order of `Name`."""

    def seen(asked: Question) -> _Seen:
        return _seen(roi(store, config, asked, whole=False), asked, question=question, ground=ground)

    now = seen(question)
    trailing_period = question.about(question.since - TRAILING_MS, question.since)
    trailing = seen(trailing_period)
    against = [_shifted(name, question, now, seen) for name in _SHIFTS]
    against.append(_against("trailing_7d", trailing_period, now, trailing))
    against.append(_control(find_control(store, question), question, now, trailing, seen))
    against.append(_target(campaigns(store, question, config=config), question, now))
    return Comparison(
        campaign=question.campaign,
        since_ms=question.since,
        until_ms=question.until,
        currency=now.currency,
        figures=now.shown,
        known=now.known,
        adjusted=now.compared != now.shown,
        against=against,
    )


_See = Callable[[Question], _Seen]


def _seen(rows: list[RoiRow], asked: Question, *, question: Question, ground: Ground) -> _Seen:
    """The campaign in `asked`'s period; numbers as if that were as long as the question's."""
    row = next((row for row in rows if row.campaign == asked.campaign), None)
    if row is None:
        return _Seen(shown=Figures(), compared=Figures(), known=None, row=None, currency="")
    standing = ground.standing(shown_in(row.figures), metric="cost_per_conversion", made_of=_TOLD)
    length = (question.until - question.since) / (asked.until - asked.since)
    told = _figures(row, length=length, known=1.0)
    share = 1.0 if standing.known is None else max(LEAST_KNOWN, standing.known.share)
    return _Seen(
        shown=told,
        compared=_figures(row, length=length, known=share),
        known=standing.known,
        row=row.figures,
        currency=row.figures.cost.currency,
    )


def _figures(row: RoiRow, *, length: float, known: float) -> Figures:
    """`known`: the share of the conversions that is known, by which numbers that will still grow are divided."""
    figures, live = row.figures, row.live
    spend = figures.cost.spend_micros if figures.cost.told else None
    return Figures(
        clicks=figures.clicks * length,
        conversions=figures.outcome.conversions * length / known,
        spend_micros=_scaled(spend, length),
        value_micros=_scaled(figures.outcome.value_micros, length / known),
        conversion_rate=figures.conversion_rate,
        cost_per_conversion_micros=_scaled(live.cost_per_conversion_micros, known),
        cost_per_lead_micros=_scaled(live.cost_per_lead_micros, known),
        roas=None if live.roas is None else live.roas / known,
    )


def _scaled(amount: int | None, factor: float) -> int | None:
    return None if amount is None else round(amount * factor)


def _shifted(name: Name, question: Question, now: _Seen, seen: _See) -> Against:
    shift = _SHIFTS[name]
    if question.until - question.since > shift:
        return Against(name=name, missing="overlaps")
    then = question.about(question.since - shift, question.until - shift)
    return _against(name, then, now, seen(then))


def _against(name: Name, period: Question, now: _Seen, then: _Seen) -> Against:
    if then.row is None:
        return Against(name=name, missing="nothing_then", since_ms=period.since, until_ms=period.until)
    rate = _rate_difference(now.compared.conversion_rate, then.compared.conversion_rate)
    return Against(
        name=name,
        since_ms=period.since,
        until_ms=period.until,
        campaign=period.campaign,
        currency=then.currency,
        figures=then.compared,
        known=then.known,
        changes=changes(now.compared, then.compared, same_money=now.currency == then.currency),
        rate_difference=rate,
        apart=None if rate is None else not rate.low <= 0 <= rate.high,
    )


def _rate_difference(now: Interval | None, then: Interval | None) -> Interval | None:
    return None if now is None or then is None else difference(now, then)


def changes(now: Figures, then: Figures, *, same_money: bool = True) -> dict[str, float]:
    """now / then - 1 of each figure that both know; amounts only where they are in one currency."""
    found = {}
    for name in Figures.__struct_fields__:
        money = name.endswith("_micros")
        if money and not same_money:
            continue
        later, earlier = (_plain(getattr(figures, name)) for figures in (now, then))
        if later is not None and earlier:
            found[name.removesuffix("_micros")] = later / earlier - 1
    return found


def _plain(figure: Interval | float | None) -> float | None:
    return figure.rate if isinstance(figure, Interval) else figure


def _control(control: Control | None, question: Question, now: _Seen, trailing: _Seen, seen: _See) -> Against:
    """What the campaign would have come to, had it gone from its trailing days as the control from its own."""
    if control is None or trailing.row is None:
        return Against(name="control", missing="no_control")
    about = msgspec.structs.replace(question, campaign=control.campaign)
    its_now, its_trailing = seen(about), seen(about.about(question.since - TRAILING_MS, question.since))
    went = changes(its_now.compared, its_trailing.compared)
    expected = _moved(trailing.compared, went)
    return Against(
        name="control",
        since_ms=question.since,
        until_ms=question.until,
        campaign=control.campaign,
        score=control.score,
        currency=trailing.currency,
        figures=expected,
        known=its_now.known,
        changes=changes(now.compared, expected, same_money=now.currency == trailing.currency),
    )


def _moved(figures: Figures, went: dict[str, float]) -> Figures:
    """Numbers moved by their relative changes; without a change of its own a number is not known."""

    def moved(name: str) -> float | None:
        value = _plain(getattr(figures, name))
        change = went.get(name.removesuffix("_micros"))
        return None if value is None or change is None else value * (1 + change)

    value = moved("value_micros")
    return Figures(
        clicks=moved("clicks"),
        conversions=moved("conversions"),
        value_micros=None if value is None else round(value),
    )


def _target(described: list[CampaignFacts], question: Question, now: _Seen) -> Against:
    facts = next((facts for facts in described if facts.campaign == question.campaign), None)
    if facts is None or not (facts.target_cpl_micros or facts.target_roas):
        return Against(name="target", missing="no_target")
    target = Figures(cost_per_lead_micros=facts.target_cpl_micros or None, roas=facts.target_roas or None)
    return Against(
        name="target",
        since_ms=question.since,
        until_ms=question.until,
        currency=facts.stated_currency,
        figures=target,
        changes=changes(now.compared, target, same_money=now.currency == facts.stated_currency),
    )
