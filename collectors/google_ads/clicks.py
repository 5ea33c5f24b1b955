"""Which campaign every gclid belongs to: the account's single clicks, one query for each of its days (README.md)."""

from __future__ import annotations

from datetime import date, timedelta

from collectors import fact_ids
from collectors.ad_platform import AdPlatformPart
from collectors.base import Fetched
from collectors.bearer_api import Deadline
from collectors.google_ads.config import GoogleClicksConfig
from collectors.windows import Window
from core.identity import derive, usable
from core.records import PlatformClick
from core.vendors.google_ads import GoogleAdsAccount
from core.vendors.google_ads_reports import CLICKS_REACH_DAYS, ClickRow, clicks
from core.zones import day_bucket, local_day


class GoogleClicksSource(AdPlatformPart[GoogleAdsAccount, GoogleClicksConfig]):
    kind = "google_clicks"

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """The clicks of the days that end inside the window, and of the day that is not over yet."""
        deadline = Deadline(self.name, deadline_s)
        records: list[PlatformClick] = []
        invalid, detail = 0, ""
        for day in self.days(window, now=now):
            report = clicks(self._account, day=day, deadline_s=deadline.left_s())
            records += [self._record(row) for row in report.rows if usable(row.gclid.encode())]
            invalid, detail = invalid + report.invalid, detail or report.detail
        return Fetched(records=list(records), invalid=invalid, detail=detail)

    def probe(self, *, now: int, deadline_s: float) -> str:
        """Today's clicks: in the first hours of a day no day ends in the hour that a trial would read, and nothing would be asked."""
        report = clicks(self._account, day=local_day(now, zone=self._account.zone), deadline_s=deadline_s)
        return f"reads clicks; {len(report.rows)} today"

    def days(self, window: Window, *, now: int) -> list[date]:
        """Every day belongs to the window in which it ends, so that a back-fill asks for each but once; none beyond Google's reach."""
        zone = self._account.zone
        oldest = local_day(now, zone=zone) - timedelta(days=CLICKS_REACH_DAYS - 1)
        day = max(local_day(window.since, zone=zone), oldest)
        found = []
        while (bucket := day_bucket(day, zone=zone)).start < window.until:
            ends = bucket.start + bucket.length_s * 1000
            if window.since < ends <= window.until or ends > now:
                found.append(day)
            day += timedelta(days=1)
        return found

    def _record(self, row: ClickRow) -> PlatformClick:
        click_id = derive("gclid", row.gclid.encode())
        platform, account = self._account.platform, self._account.account
        return PlatformClick(
            ts=row.bucket_ms,
            source=self.kind,
            fact_id=fact_ids.platform_click(platform=platform, account=account, click_id=click_id),
            click_id=click_id,
            platform=platform,
            account=account,
            campaign=row.campaign,
            bucket_s=row.bucket_s,
            ad_group=row.ad_group,
            creative=row.creative,
            keyword=row.keyword,
        )
