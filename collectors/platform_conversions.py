"""A platform's own count of conversions, by type, campaign and day: tallies that reconciliation lays beside ours.

Each platform says how it is asked, and which of its actions stand for which type of ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from collectors import fact_ids
from collectors.ad_platform import Account, AdPlatformPart, Config
from collectors.base import Fetched, Whole
from collectors.windows import Window
from core.money import to_micros
from core.records import Record, Tally
from core.vendors.base import ConversionCount, Report
from core.zones import day_bucket, local_day

#: Campaign, type of ours, start of the day in ms.
Key = tuple[str, str, int]


class PlatformConversions(AdPlatformPart[Account, Config]):
    """What vanishes from a complete answer becomes zero; one with rows that could not be understood takes nothing back."""

    def counted(self, window: Window, *, deadline_s: float) -> Report[ConversionCount]:
        """What the platform counts, of the days that touch the window. Raises `core.errors.SourceError` only."""
        raise NotImplementedError

    def by_type(self, rows: Iterable[ConversionCount]) -> dict[Key, list[ConversionCount]]:
        """The counts that make one figure of ours; they are added up."""
        raise NotImplementedError

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Conversions of the days that touch the window."""
        report = self.counted(window, deadline_s=deadline_s)
        records: list[Record] = [self._tally(key, rows) for key, rows in self.by_type(report.rows).items()]
        whole = None if report.invalid else self._whole(window)
        return Fetched(records=records, invalid=report.invalid, detail=report.detail, whole=whole)

    def _whole(self, window: Window) -> Whole:
        zone = self._account.zone
        first, last = local_day(window.since, zone=zone), local_day(window.until - 1, zone=zone)
        end = day_bucket(last, zone=zone)
        return Whole(
            origin="platform",
            account=self._account_name,
            since=day_bucket(first, zone=zone).start,
            until=end.start + end.length_s * 1000,
        )

    @property
    def _account_name(self) -> str:
        return f"{self._account.platform}:{self._account.account}"

    def _tally(self, key: Key, rows: list[ConversionCount]) -> Tally:
        campaign, name, ts = key
        account, bucket_s = self._account_name, rows[0].bucket_s
        return Tally(
            ts=ts,
            source=self.kind,
            fact_id=fact_ids.tally(
                origin="platform", account=account, name=name, ts=ts, bucket_s=bucket_s, campaign=campaign
            ),
            origin="platform",
            account=account,
            name=name,
            bucket_s=bucket_s,
            # Data-driven attribution shares one conversion among campaigns: counts have fractions.
            count=round(sum(row.count for row in rows), 6),
            value_micros=to_micros(round(sum(row.value for row in rows), 6)),
            currency=rows[0].currency,
            campaign=campaign,
            client=self._account_config.client,
            reported_as=", ".join(sorted({row.action for row in rows} - {name})),
        )
