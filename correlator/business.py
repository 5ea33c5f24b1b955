"""Who bears what the business pays besides the platforms: configured costs, shared day by day, exact to the micro.

A cost accrues evenly over the period up to now (`ConfiguredCost.accrued`). Each day's part is shared between the values it belongs to by their
whole day's spend, clicks, conversions or value, over all campaigns, so that a question about one campaign shows the same share as one about all. An
hour bears what accrues in it, shared as its whole day is, whether anything happened in it or not: rent runs at night, too. So the hours sum to the
day and the days to the month, row by row. A part that nobody has a weight for in the whole day stands under `NOT_TOLD`. A cost per conversion lies
where the conversions are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator.cells import Cell, Cells, Place, read_cells, total
from correlator.config import CorrelatorConfig
from correlator.configured_cost import ConfiguredCost, Weight
from correlator.dimensions import CAMPAIGN, CLIENT, NOT_TOLD, PAGE
from correlator.exchange import Exchange, read_exchange
from correlator.period import Question


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a configured cost and who bears it."""

    place: Place
    category: str
    currency: str
    micros: int


class Borne(msgspec.Struct, frozen=True, kw_only=True):
    """What one row bears, in its own currency; what no rate leads there stands beside, by currency."""

    costs_micros: int
    by_category_micros: dict[str, int]
    other_currencies_micros: dict[str, int]


def charges(store: Store, config: CorrelatorConfig, question: Question, *, found: Cells) -> list[Charge]:
    """All configured costs of the period, for a question in buckets of an hour at least or about the whole period at once; `found` are its cells."""
    costs = [piece for cost in config.costs for piece in cost.pieces]
    if not costs or not question.long_buckets:
        return []
    sharing = _Sharing(store, config, question, found)
    return [charge for cost in costs for charge in sharing.of(cost) if charge.micros]


def borne(parts: Iterable[Charge], *, currency: str) -> Borne:
    """The charges of one row, summed."""
    own: dict[str, int] = defaultdict(int)
    others: dict[str, int] = defaultdict(int)
    for part in parts:
        if part.currency == currency:
            own[part.category] += part.micros
        else:
            others[part.currency] += part.micros
    return Borne(
        costs_micros=sum(own.values()),
        by_category_micros=dict(sorted(own.items())),
        other_currencies_micros=dict(sorted(others.items())),
    )


class _Sharing:
    """The days of a question with what costs are shared by, read when the first cost needs it."""

    def __init__(self, store: Store, config: CorrelatorConfig, question: Question, found: Cells) -> None:
        self._store, self._config, self._question, self._found = store, config, question, found
        self._exchange: Exchange | None = None
        self._days: dict[str, Cells] = {}
        self._periods = {(question.by, question.since, question.until): found}

    def of(self, cost: ConfiguredCost) -> Iterator[Charge]:
        amount, currency = self._told(cost)
        if cost.per == "conversion":
            yield from self._by_conversion(cost, amount, currency)
            return
        for since, until in cut(self._question.since, min(self._question.until, self._question.at), every=DAY_MS):
            if cost.accrued(since, until, amount=amount):
                yield from self._of_day(cost, amount, since, until, currency)

    def _of_day(self, cost: ConfiguredCost, amount: int, since: int, until: int, currency: str) -> Iterator[Charge]:
        """What accrues in [since, until) of a day, bucket by bucket, to those who bear the day."""
        day = since - since % DAY_MS
        asked = self._question
        pieces = [
            (self._bucket(begins), cost.accrued(day, begins, amount=amount), cost.accrued(day, ends, amount=amount))
            for begins, ends in cut(since, until, every=asked.bucket_ms, begin=asked.since)
        ]
        shares = self._shares(cost, day, currency)
        for (value, campaign), share in shared(shares).items():
            if self._seen(campaign):
                for bucket, before, after in pieces:
                    yield _charge(cost, (value, bucket, campaign), currency, share.of(after) - share.of(before))
        if not shares and self._is_asked_for(cost):
            for bucket, before, after in pieces:
                yield _charge(cost, self._idle(cost, bucket), currency, after - before)

    def _idle(self, cost: ConfiguredCost, bucket: int) -> Place:
        """Who bears what nobody has a weight for: the one campaign that it is for, else nobody."""
        if self._question.by == CAMPAIGN.name and len(cost.campaigns) == 1:
            return cost.campaigns[0], bucket, cost.campaigns[0]
        return NOT_TOLD, bucket, ""

    def _shares(self, cost: ConfiguredCost, day: int, currency: str) -> dict[tuple[str, str], int]:
        """The day's weights by (value, campaign)."""
        if (cells := self._whole_days(cost)) is None:
            return {}
        weigh = _weighing(cost.weight, currency)
        shares: dict[tuple[str, str], int] = defaultdict(int)
        for (value, bucket, campaign), cell in cells.cells.items():
            if bucket == day and self._bears(cost, value, campaign) and (weight := weigh(cell)) > 0:
                shares[self._value(cost, value, campaign), campaign] += weight
        return dict(shares)

    def _by_conversion(self, cost: ConfiguredCost, amount: int, currency: str) -> Iterator[Charge]:
        if (cells := self._period(cost)) is None:
            return
        for (value, bucket, campaign), cell in cells.cells.items():
            counted = total((row for row in cell.types if not cost.types or row["type"] in cost.types), "conversions")
            if counted and self._bears(cost, value, campaign):
                place = (self._value(cost, value, campaign), self._bucket(bucket), campaign)
                yield _charge(cost, place, currency, counted * amount)

    def _whole_days(self, cost: ConfiguredCost) -> Cells | None:
        by = self._read_by(cost)
        if by and by not in self._days:
            asked = self._question
            begins = asked.since - asked.since % DAY_MS
            whole = msgspec.structs.replace(
                asked,
                since=begins,
                until=-(-asked.until // DAY_MS) * DAY_MS,
                grain_ms=DAY_MS,
                campaign="",
                clients=(),
                by=by,
                # Matches that were worked out for the period lack what happened earlier in its first day.
                matched_in=asked.matched_in if begins == asked.since else "",
            )
            self._days[by] = read_cells(self._store, self._config, whole)
        return self._days.get(by)

    def _period(self, cost: ConfiguredCost) -> Cells | None:
        """The part of the period that a cost is for; None = nothing of it, or no way to tell its pages."""
        since, until = cost.within(self._question.since, self._question.until)
        key = (self._read_by(cost), since, until)
        if not key[0] or since >= until:
            return None
        if key not in self._periods:
            question = msgspec.structs.replace(self._question, by=key[0], since=since, until=until)
            self._periods[key] = read_cells(self._store, self._config, question)
        return self._periods[key]

    def _read_by(self, cost: ConfiguredCost) -> str:
        """What the weights must be told by to know both the page and the value asked for; "" = they cannot."""
        by = self._question.by
        if not cost.pages:
            return by
        return PAGE.name if by in (PAGE.name, CAMPAIGN.name, CLIENT.name) else ""

    def _bears(self, cost: ConfiguredCost, value: str, campaign: str) -> bool:
        on_page = not cost.pages or value in cost.pages
        return on_page and cost.concerns(campaign=campaign, client=self._client(campaign))

    def _value(self, cost: ConfiguredCost, value: str, campaign: str) -> str:
        """The value of the dimension asked for, where the weights were read by page."""
        if not cost.pages or self._question.by == PAGE.name:
            return value
        return campaign if self._question.by == CAMPAIGN.name else self._client(campaign)

    def _client(self, campaign: str) -> str:
        for cells in (self._found, *self._days.values()):
            if campaign in cells.campaigns:
                return str(cells.campaigns[campaign]["client"])
        return ""

    def _seen(self, campaign: str) -> bool:
        asked = self._question
        return asked.campaign in ("", campaign) and (not asked.clients or self._client(campaign) in asked.clients)

    def _is_asked_for(self, cost: ConfiguredCost) -> bool:
        """Whether a cost without any weight belongs to the answer."""
        asked = self._question
        if asked.campaign:
            return cost.campaigns == (asked.campaign,)
        return not asked.clients or (bool(cost.clients) and set(cost.clients) <= set(asked.clients))

    def _bucket(self, moment: int) -> int:
        asked = self._question
        return asked.since + (moment - asked.since) // asked.bucket_ms * asked.bucket_ms

    def _told(self, cost: ConfiguredCost) -> tuple[int, str]:
        """Amount and currency: the reporting currency where a rate leads there."""
        currency = cost.currency or self._config.default_currency
        reporting = self._config.reporting_currency
        if not reporting or currency == reporting:
            return cost.amount_micros, currency
        if self._exchange is None:
            day = min(self._question.at, self._question.until - 1)
            self._exchange = read_exchange(self._store, self._config, at=day, as_of=self._question.known_by)
        converted = self._exchange.convert(cost.amount_micros, sold=currency, bought=reporting)
        return (cost.amount_micros, currency) if converted is None else (converted, reporting)


def cut(since: int, until: int, *, every: int, begin: int = 0) -> Iterator[tuple[int, int]]:
    """[since, until) (ms) cut at every so many ms from `begin` on: at midnight UTC, hour by hour."""
    while since < until:
        ends = min(since - (since - begin) % every + every, until)
        yield since, ends
        since = ends


class Share(msgspec.Struct, frozen=True):
    """The part of a whole that lies from `begins` to `ends` of `of_all`.

    Parts of one amount sum to it, and what a part grows by while the amount grows piece by piece sums to the part: both to the micro, as each
    border between two parts is rounded by itself.
    """

    begins: int
    ends: int
    of_all: int

    def of(self, micros: int) -> int:
        return micros * self.ends // self.of_all - micros * self.begins // self.of_all


def shared(weights: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], Share]:
    """The share of each (value, campaign), one behind the other; a campaign's lie together, so that its sum is the same by any dimension."""
    whole = sum(weights.values())
    found: dict[tuple[str, str], Share] = {}
    passed = 0
    for place in sorted(weights, key=lambda place: (place[1], place[0])):
        found[place] = Share(passed, passed + weights[place], whole)
        passed += weights[place]
    return found


def _weighing(weight: Weight, currency: str) -> Callable[[Cell], int]:
    by: dict[Weight, Callable[[Cell], int]] = {
        "spend": lambda cell: cell.spent().get(currency, 0),
        "clicks": lambda cell: cell.clicks,
        "conversions": lambda cell: total(cell.types, "conversions"),
        "value": lambda cell: total((row for row in cell.types if row["currency"] == currency), "worth_micros"),
    }
    return by[weight]


def _charge(cost: ConfiguredCost, place: Place, currency: str, micros: int) -> Charge:
    return Charge(place=place, category=cost.category, currency=currency, micros=micros)
