"""Google's own count of conversions, by action and day: tallies that reconciliation lays beside ours (README.md)."""

from __future__ import annotations

from collectors import fact_ids
from collectors.base import Fetched, Whole
from collectors.google_ads.config import GoogleConversionsConfig
from collectors.google_ads.part import GoogleAdsPart
from collectors.windows import Window
from core.money import to_micros
from core.records import Record, Tally
from core.vendors.base import ConversionCount
from core.vendors.google_ads_reports import conversions
from core.zones import day_bucket, local_day


class GoogleConversionsSource(GoogleAdsPart[GoogleConversionsConfig]):
    kind = "google_conversions"

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Conversions of the days that touch the window, by the day they happened."""
        report = conversions(self._account, since_ms=window.since, until_ms=window.until, deadline_s=deadline_s)
        records: list[Record] = [self._tally(name, rows) for name, rows in self._by_type(report.rows).items()]
        return Fetched(
            records=records,
            invalid=report.invalid,
            detail=report.detail,
            whole=None if report.invalid else self._whole(window),
        )

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

    def _by_type(self, rows: list[ConversionCount]) -> dict[tuple[str, str, int], list[ConversionCount]]:
        """Several actions may stand for one type of ours (a purchase by tag and one by import)."""
        found: dict[tuple[str, str, int], list[ConversionCount]] = {}
        for row in rows:
            name = self._own.types.get(row.action, row.action)
            found.setdefault((row.campaign, name, row.bucket_ms), []).append(row)
        return found

    def _tally(self, key: tuple[str, str, int], rows: list[ConversionCount]) -> Tally:
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
