"""What a business pays besides the platforms, as its people state it: overheads, infrastructure, pages, fees (design §6).

A cost accrues evenly, by the millisecond, over the time that it is stated for (days in UTC); one per conversion, with each conversion.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import Field, model_validator

from core.money import check_currency, to_micros
from core.settings import Section

Category = Literal["overhead", "infrastructure", "page", "creative", "fee", "other"]
Per = Literal["month", "day", "campaign", "page", "conversion"]
#: What a shared cost is shared by.
Weight = Literal["spend", "clicks", "conversions", "value"]


class ConfiguredCost(Section):
    """One cost that no platform reports. `campaigns`, `clients`, `pages` and `types` say whose it is; empty = everybody's."""

    name: str = Field(min_length=1, max_length=100, description="How people call it; reports show it under this name.")
    category: Category = Field("overhead", description="Which kind of cost it is; reports sum it by kind.")
    amount: str = Field(description="Decimal amount.")
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", description="Empty = `correlator.default_currency`.")
    per: Per = Field(
        "month",
        description="What the amount is for: each calendar month, each day, each campaign or page named (once, from first_day to"
        " last_day), or each conversion.",
    )
    shared_by: Weight = Field(
        "spend",
        description="What a cost of several is shared by, day by day, between those that it belongs to. Page costs are shared by clicks, as no"
        " platform tells its spend by page.",
    )
    campaigns: tuple[str, ...] = Field((), description="Only for these qualified campaigns.")
    clients: tuple[str, ...] = Field((), description="Only for these clients.")
    pages: tuple[str, ...] = Field(
        (), description="Only for clicks to these landing pages, as links and clicks write them."
    )
    types: tuple[str, ...] = Field((), description="With per: conversion, only for these conversion types.")
    first_day: date | None = Field(None, description="First day in UTC; empty = always.")
    last_day: date | None = Field(None, description="Last day in UTC, included; empty = for ever.")

    @model_validator(mode="after")
    def _is_whole(self) -> ConfiguredCost:
        if to_micros(self.amount) < 0:
            raise ValueError("amount: less than nothing")
        if self.currency:
            check_currency(self.currency)
        if self.first_day and self.last_day and self.last_day < self.first_day:
            raise ValueError("last_day: lies before first_day")
        if self.per in ("campaign", "page") and not (self._named and self.first_day and self.last_day):
            raise ValueError(f"per {self.per}: name the {self.per}s, and the first and last day it is for")
        if self.types and self.per != "conversion":
            raise ValueError("types: only with per: conversion")
        return self

    @property
    def _named(self) -> tuple[str, ...]:
        return self.campaigns if self.per == "campaign" else self.pages

    @property
    def weight(self) -> Weight:
        """What it is really shared by."""
        return "clicks" if self.pages and self.shared_by == "spend" else self.shared_by

    @property
    def amount_micros(self) -> int:
        return to_micros(self.amount)

    @property
    def pieces(self) -> list[ConfiguredCost]:
        """One for each campaign or page that the amount is for; others stay whole."""
        if self.per == "campaign":
            return [self.model_copy(update={"campaigns": (one,)}) for one in self.campaigns]
        if self.per == "page":
            return [self.model_copy(update={"pages": (one,)}) for one in self.pages]
        return [self]

    def accrued(self, since: int, until: int, *, amount: int | None = None) -> int:
        """Micros that accrue in [since, until) (ms). Whatever a time is cut into, the parts sum to it exactly. 0 for one per conversion.

        Args:
            amount: micros, where the stated amount is told in another currency.
        """
        since, until = self.within(since, until)
        if until <= since or self.per == "conversion":
            return 0
        amount = self.amount_micros if amount is None else amount
        return self._until(until, amount) - self._until(since, amount)

    def _until(self, moment: int, amount: int) -> int:
        """Micros from a fixed beginning to `moment`: a whole number at each moment, so differences leave nothing over."""
        span_begins, span_ends, passed = self._span(moment)
        return passed * amount + amount * (moment - span_begins) // (span_ends - span_begins)

    def _span(self, moment: int) -> tuple[int, int, int]:
        """Begin and end (ms) of the time that one amount is for and that holds `moment`, and how many such times lie before it."""
        at = datetime.fromtimestamp(moment / 1000, UTC).date()
        if self.per == "month":
            following = date(at.year + at.month // 12, at.month % 12 + 1, 1)
            return _first_ms(at.replace(day=1)), _first_ms(following), at.year * 12 + at.month
        if self.per == "day":
            return _first_ms(at), _first_ms(at + timedelta(days=1)), at.toordinal()
        end = _end_ms(self.last_day)
        assert end is not None, "checked when the settings were read"
        return _first_ms(self.first_day), end, 0

    def within(self, since: int, until: int) -> tuple[int, int]:
        """The part of [since, until) (ms) that the cost is for; empty when it ends before it begins."""
        ends = _end_ms(self.last_day)
        return max(since, _first_ms(self.first_day)), until if ends is None else min(until, ends)

    def concerns(self, *, campaign: str, client: str) -> bool:
        """Whether a campaign is one of those that the cost is for."""
        return (not self.campaigns or campaign in self.campaigns) and (not self.clients or client in self.clients)


def _first_ms(day: date | None) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000) if day else 0


def _end_ms(day: date | None) -> int | None:
    return None if day is None else _first_ms(day + timedelta(days=1))
