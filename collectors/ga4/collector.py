"""GA4: sessions and key events of a property, as tallies that stand beside our own counts (README.md beside this file)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import structlog

from collectors import fact_ids
from collectors.base import Fetched, Quota, Whole
from collectors.bearer_api import Deadline
from collectors.ga4 import budget
from collectors.ga4.config import Ga4Config, Ga4Connection
from collectors.ga4.report_api import Metadata, Query, Report, ReportApi
from collectors.shape import Shape, shape_of
from collectors.source_config import SourceConfig
from collectors.windows import Window
from core.errors import Permanent
from core.identity import is_qualified, qualified
from core.money import to_micros
from core.records import Record, Tally
from core.zones import Bucket, day_bucket, hour_bucket, local_day, zone

log = structlog.get_logger(__name__)

SESSION: Final = "session"
#: What a row is about besides its time. The two of Google Ads name the campaign of auto-tagged visits, the last is `utm_id`.
ABOUT: Final = (
    "deviceCategory",
    "sessionGoogleAdsCustomerId",
    "sessionGoogleAdsCampaignId",
    "sessionManualCampaignId",
)
#: (dimensions, metrics, the metric that must be above zero) of the reports of one read.
HOURLY_SESSIONS: Final = (("dateHour", *ABOUT), ("sessions",), "")
#: A session that lasts over the hour counts in both hours, so that a day is not the sum of its hours.
DAILY_SESSIONS: Final = (("date", *ABOUT), ("sessions",), "")
KEY_EVENTS: Final = (("dateHour", *ABOUT, "eventName"), ("keyEvents", "totalRevenue"), "keyEvents")
REPORTS: Final = (HOURLY_SESSIONS, DAILY_SESSIONS, KEY_EVENTS)

Key = tuple[str, Bucket, str, str]


class _Sum(msgspec.Struct):
    count: float = 0.0
    value: float = 0.0
    #: Key events that were counted under the name.
    events: set[str] = set()


class Ga4Source:
    """One property; its watermark is `ga4:<connection>`."""

    kind = "ga4"

    def __init__(self, connection: Ga4Connection, *, config: Ga4Config) -> None:
        self.name = f"{self.kind}:{connection.name}"
        self.config: SourceConfig = config
        self._connection = connection
        self._account = f"{self.kind}:{connection.property}"
        self._api = ReportApi(self.name, connection, reserve=config.token_reserve, page_rows=config.page_rows)
        self._zone: ZoneInfo | None = None
        self._flaws: tuple[str, ...] = ()

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Sessions and key events of the property's days that touch the window; three requests and their further pages."""
        deadline = Deadline(self.name, deadline_s)
        own = self._own_zone(now=now, deadline=deadline)
        first, last = local_day(window.since, zone=own), local_day(window.until - 1, zone=own)
        sums: dict[Key, _Sum] = {}
        invalid, detail, shape, currency = 0, "", Shape(), ""
        for dimensions, metrics, positive in REPORTS:
            query = Query(dimensions=dimensions, metrics=metrics, since=str(first), until=str(last), positive=positive)
            report = self._api.report(query, now=now, deadline_s=deadline.left_s())
            self._note(report.metadata)
            currency = report.metadata.currency_code
            shape += _shape(report, (*dimensions, *metrics))
            bad = self._add(report.rows, into=sums, own=own)
            invalid, detail = invalid + len(bad), detail or next(iter(bad), "")
        records: list[Record] = [self._tally(key, total, currency=currency) for key, total in sums.items()]
        whole = None if invalid else self._whole(first, last, own)
        return Fetched(records=records, invalid=invalid, detail=detail, shape=shape, whole=whole)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Nothing that holds now."""
        return Fetched(records=[])

    def quota(self) -> Quota | None:
        """Tokens, as the property's last answer told them."""
        return budget.shown(self._api.left)

    def probe(self, *, now: int, deadline_s: float) -> str:
        """One session count of today: the cheapest report there is."""
        report = self._today(now=now, deadline_s=deadline_s)
        flaws = f", {', '.join(report.metadata.flaws)}" if report.metadata.flaws else ""
        zone_and_money = f"{report.metadata.time_zone}, {report.metadata.currency_code}"
        return f"property {self._connection.property} ({zone_and_money}{flaws})"

    def close(self) -> None:
        self._api.close()

    # --- rows ----------------------------------------------------------------------------------------------------------------

    def _add(self, rows: Iterable[dict[str, str]], *, into: dict[Key, _Sum], own: ZoneInfo) -> list[str]:
        """Sum the rows up by what they are about; answers what was wrong with those that could not be understood."""
        bad = []
        for row in rows:
            try:
                key = (self._named(row), _bucket(row, own), self._campaign(row), _device(row["deviceCategory"]))
                count, value = (
                    _number(row, "keyEvents" if "eventName" in row else "sessions"),
                    _number(row, "totalRevenue"),
                )
            except (KeyError, ValueError) as error:
                bad.append(f"a row was not understood: {type(error).__name__} {error}")
                continue
            total = into.setdefault(key, _Sum())
            total.events |= {row["eventName"]} if "eventName" in row else set()
            total.count += count
            total.value += value
        return bad

    def _named(self, row: dict[str, str]) -> str:
        event = row.get("eventName")
        return SESSION if event is None else self._connection.types.get(event, event)

    def _campaign(self, row: dict[str, str]) -> str:
        """The campaign as we write it; "" where the property does not know one of ours."""
        customer = row["sessionGoogleAdsCustomerId"].replace("-", "")
        campaign, given = row["sessionGoogleAdsCampaignId"], row["sessionManualCampaignId"]
        if customer.isdigit() and campaign.isdigit():
            return qualified("google", customer, campaign)
        return self._connection.campaigns.get(given, given if is_qualified(given) else "")

    def _tally(self, key: Key, total: _Sum, *, currency: str) -> Tally:
        name, bucket, campaign, device = key
        return Tally(
            ts=bucket.start,
            source=self.kind,
            fact_id=fact_ids.tally(
                origin="analytics",
                account=self._account,
                name=name,
                ts=bucket.start,
                bucket_s=bucket.length_s,
                device=device,
                campaign=campaign,
            ),
            origin="analytics",
            account=self._account,
            name=name,
            bucket_s=bucket.length_s,
            count=round(total.count, 6),
            value_micros=to_micros(round(total.value, 6)),
            currency=currency if total.value else "",
            campaign=campaign,
            device=device,
            client=self._connection.client,
            reported_as=", ".join(sorted(total.events - {name})),
        )

    # --- the property --------------------------------------------------------------------------------------------------------

    def _own_zone(self, *, now: int, deadline: Deadline) -> ZoneInfo:
        """The property's time zone, as it says itself: its days and hours are told without one."""
        if self._zone is None:
            self._note(self._today(now=now, deadline_s=deadline.left_s()).metadata)
        if self._zone is None:
            raise Permanent(self.name, "the answer names no time zone")
        return self._zone

    def _today(self, *, now: int, deadline_s: float) -> Report:
        query = Query(dimensions=("date",), metrics=("sessions",), since="today", until="today")
        return self._api.report(query, now=now, deadline_s=deadline_s)

    def _note(self, metadata: Metadata) -> None:
        """Keep the zone; say once when figures are less than what happened."""
        try:
            self._zone = zone(metadata.time_zone) if metadata.time_zone else self._zone
        except ValueError as error:
            raise Permanent(self.name, str(error)) from None
        flaws = tuple(metadata.flaws)
        if flaws and flaws != self._flaws:
            log.warning("report is not exact", source=self.name, because=", ".join(flaws))
        self._flaws = flaws or self._flaws

    def _whole(self, first: date, last: date, own: ZoneInfo) -> Whole:
        end = day_bucket(last, zone=own)
        return Whole(
            origin="analytics",
            account=self._account,
            since=day_bucket(first, zone=own).start,
            until=end.start + end.length_s * 1000,
        )


def _shape(report: Report, columns: Sequence[str]) -> Shape:
    return shape_of(report.rows, expected=columns)


def _bucket(row: dict[str, str], own: ZoneInfo) -> Bucket:
    """`dateHour` is yyyymmddhh, `date` yyyymmdd, both on the property's clock."""
    if "dateHour" not in row:
        return day_bucket(date.fromisoformat(row["date"]), zone=own)
    day, hour = row["dateHour"][:8], row["dateHour"][8:]
    return hour_bucket(date.fromisoformat(day), int(hour), zone=own)


def _device(word: str) -> str:
    lowered = word.lower()
    return lowered if lowered in ("mobile", "desktop", "tablet") else "other"


def _number(row: dict[str, str], name: str) -> float:
    """A metric; one that was not asked for is 0.

    Raises:
        ValueError: it is not a finite number at or above zero.
    """
    number = float(row.get(name, "0"))
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} is {number}")
    return number
