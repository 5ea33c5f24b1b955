"""One Meta ad account over the Marketing API (Graph v25.0): spend by hour, campaign states, pausing.

Needed permissions: `ads_read` for reading, `ads_management` for pausing. Shapes by the vendor's documentation: "Insights API",
"Insights API Breakdowns", "Campaign", "Error Handling", "Rate Limits", "Currencies" (developers.facebook.com, read Nov 2026).
Insights by hour cannot be broken down by device as well, so the rows of this platform have no device.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import httpx
import msgspec

from core.errors import Permanent, QuotaExceeded, SourceError, Transient
from core.http_client import HttpClient, redact
from core.identity import qualified, split_qualified
from core.money import MICROS, to_micros
from core.vendors.base import CampaignState, DeliveryStatus, SpendRow
from core.vendors.config import AccountConfig
from core.zones import hour_bucket, local_day

ENDPOINT: Final = "https://graph.facebook.com"
VERSION: Final = "v25.0"
PAGE_SIZE: Final = 500
MAX_PAGES: Final = 1_000
HOURLY: Final = "hourly_stats_aggregated_by_advertiser_time_zone"
CAMPAIGN_FIELDS: Final = "id,name,status,account_id,daily_budget,adlabels{name}"

#: Error codes of rate limits: application, user, page, ad account, business use cases.
_QUOTA_CODES: Final = frozenset({4, 17, 32, 613, *range(80_000, 80_015)})
_TRANSIENT_CODES: Final = frozenset({1, 2})
#: Currencies whose smallest unit the API counts in is the unit itself; all others count hundredths.
_WHOLE_UNITS: Final = frozenset({"CLP", "COP", "CRC", "HUF", "ISK", "IDR", "JPY", "KRW", "PYG", "TWD", "VND"})


class _Row(msgspec.Struct, rename={"hour": HOURLY}):
    """An insights row; numbers come as strings."""

    campaign_id: str
    date_start: str
    hour: str
    spend: str
    account_currency: str
    impressions: str = "0"
    inline_link_clicks: str = "0"


class _Label(msgspec.Struct):
    name: str = ""


class _Campaign(msgspec.Struct):
    id: str
    name: str
    status: str
    account_id: str = ""
    daily_budget: str = "0"
    adlabels: list[_Label] = []


class MetaAccount:
    """`core.vendors.base.AdPlatform` for Meta. May be used from several threads."""

    platform = "meta"

    def __init__(self, config: AccountConfig) -> None:
        """Reads nothing and calls nobody yet: bad credentials show at the first call, as Permanent."""
        self.account = config.account.removeprefix("act_")
        self._config = config
        self._zone = ZoneInfo(config.timezone)
        self._source = f"meta_ads:{self.account}"

    # --- reading -------------------------------------------------------------------------------------------------------------

    def campaigns(self, *, deadline_s: float) -> list[CampaignState]:
        """All campaigns of the account that are not removed."""
        rows = self._pages(f"act_{self.account}/campaigns", {"fields": CAMPAIGN_FIELDS}, deadline_s=deadline_s)
        states = [self._state(self._convert(row, _Campaign)) for row in rows]
        return [state for state in states if state.status != "removed"]

    def campaign(self, campaign: str, *, deadline_s: float) -> CampaignState:
        """One campaign, read back from the platform.

        Raises:
            Permanent: the campaign is not of this account.
        """
        answer = self._get(self._own_id(campaign), {"fields": CAMPAIGN_FIELDS}, deadline_s=deadline_s)
        found = self._convert(answer, _Campaign)
        if found.account_id and found.account_id != self.account:
            raise Permanent(self._source, f"campaign {campaign} is not of account {self.account}")
        return self._state(found)

    def spend(self, since_ms: int, until_ms: int, *, deadline_s: float) -> list[SpendRow]:
        """Cost by campaign and hour for the days that touch [since, until) in the account's time zone."""
        days = {"since": self._day(since_ms), "until": self._day(max(since_ms, until_ms - 1))}
        params = {
            "level": "campaign",
            "fields": "campaign_id,account_currency,spend,impressions,inline_link_clicks",
            "breakdowns": HOURLY,
            "time_increment": "1",
            "time_range": json.dumps(days, separators=(",", ":")),
        }
        rows = self._pages(f"act_{self.account}/insights", params, deadline_s=deadline_s)
        return [self._spend_row(self._convert(row, _Row)) for row in rows]

    def _state(self, found: _Campaign) -> CampaignState:
        unit = MICROS if self._config.currency in _WHOLE_UNITS else MICROS // 100
        return CampaignState(
            campaign=qualified(self.platform, self.account, found.id),
            name=found.name,
            status=_status(found.status),
            currency=self._config.currency,
            daily_budget_micros=int(found.daily_budget or 0) * unit,
            labels=tuple(sorted(label.name for label in found.adlabels)),
        )

    def _spend_row(self, row: _Row) -> SpendRow:
        try:
            # "13:00:00 - 13:59:59"
            hour = hour_bucket(date.fromisoformat(row.date_start), int(row.hour[:2]), zone=self._zone)
            return SpendRow(
                campaign=qualified(self.platform, self.account, row.campaign_id),
                bucket_ms=hour.start,
                bucket_s=hour.length_s,
                cost_micros=to_micros(row.spend),
                currency=row.account_currency,
                clicks=int(row.inline_link_clicks),
                impressions=int(row.impressions),
            )
        except ValueError as error:
            raise Permanent(self._source, f"an insights row has another shape than documented: {error}") from None

    # --- writing -------------------------------------------------------------------------------------------------------------

    def set_status(self, campaign: str, status: Literal["enabled", "paused"], *, deadline_s: float) -> None:
        """Set the delivery status; returns once the platform confirmed it. Repeating it is harmless."""
        word = {"enabled": "ACTIVE", "paused": "PAUSED"}[status]
        response = self._http.request("POST", self._own_id(campaign), data={"status": word}, deadline_s=deadline_s)
        if self._object(response).get("success") is not True:
            raise Transient(self._source, "the platform did not confirm the change")

    def close(self) -> None:
        """Release the connections, if any were made; a later call makes new ones."""
        client: HttpClient | None = self.__dict__.pop("_http", None)
        if client is not None:
            client.close()

    # --- the wire ------------------------------------------------------------------------------------------------------------

    @cached_property
    def _http(self) -> HttpClient:
        endpoint = self._config.endpoint or ENDPOINT
        if "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        return HttpClient(
            self._source,
            base_url=f"{endpoint.rstrip('/')}/{VERSION}/",
            # Graph takes the token as a parameter or as a header; a header stays out of proxies' logs.
            headers={"Authorization": f"Bearer {self._token()}"},
            classify=self._error,
        )

    def _token(self) -> str:
        path = Path(self._config.credentials_file)
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise Permanent(self._source, f"credentials_file {path} cannot be read: {type(error).__name__}") from None
        if not token or not token.isascii() or any(map(str.isspace, token)):
            raise Permanent(self._source, f"credentials_file {path} does not hold one access token")
        return token

    def _get(self, path: str, params: dict[str, str], *, deadline_s: float) -> dict[str, Any]:
        return self._object(self._http.request("GET", path, params=params, deadline_s=deadline_s))

    def _pages(self, path: str, params: dict[str, str], *, deadline_s: float) -> Iterator[dict[str, Any]]:
        """Rows of all pages, by cursor: the answer's own `next` link would carry the token."""
        ends = time.monotonic() + deadline_s
        after: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            left_s = ends - time.monotonic()
            if left_s <= 0:
                raise Transient(self._source, f"{path}: not all pages came before the deadline")
            page = self._get(path, {**params, "limit": str(PAGE_SIZE), **after}, deadline_s=left_s)
            yield from page.get("data", [])
            paging = page.get("paging", {})
            if "next" not in paging:
                return
            after = {"after": paging["cursors"]["after"]}
        raise Permanent(self._source, f"{path}: more than {MAX_PAGES} pages")

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise Transient(self._source, f"{response.request.url.path}: the answer is not a JSON object") from None

    def _convert(self, row: object, shape: type[Any]) -> Any:
        try:
            return msgspec.convert(row, shape)
        except msgspec.ValidationError as error:
            raise Permanent(self._source, f"a row has another shape than documented: {error}") from None

    def _error(self, response: httpx.Response) -> SourceError | None:
        """Meta's error object decides; the HTTP status alone does not tell a rate limit from a wrong parameter."""
        try:
            error = msgspec.json.decode(response.content, type=dict[str, Any])["error"]
            code, message = int(error["code"]), str(error["message"])
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            return None
        subcode = error.get("error_subcode")
        detail = redact(f"{message} (code {code}{f', subcode {subcode}' if subcode else ''})")
        if code in _QUOTA_CODES:
            return QuotaExceeded(self._source, detail, retry_after_s=regain_access_s(response.headers))
        if code in _TRANSIENT_CODES or error.get("is_transient") is True:
            return Transient(self._source, detail)
        return Permanent(self._source, detail)

    # --- names ---------------------------------------------------------------------------------------------------------------

    def _own_id(self, campaign: str) -> str:
        """The platform's ID of a qualified campaign of this very account.

        Raises:
            Permanent: anything else; an action must never reach another account's campaign.
        """
        try:
            platform, account, identifier = split_qualified(campaign)
        except ValueError as error:
            raise Permanent(self._source, str(error)) from None
        if (platform, account) != (self.platform, self.account) or not identifier.isdigit():
            raise Permanent(self._source, f"campaign {campaign} is not of account {self.account}")
        return identifier

    def _day(self, ms: int) -> str:
        return local_day(ms, zone=self._zone).isoformat()


def regain_access_s(headers: httpx.Headers) -> float | None:
    """The wait that X-Business-Use-Case-Usage announces, in seconds (it counts minutes); None when it says nothing."""
    try:
        usage = msgspec.json.decode(headers.get("x-business-use-case-usage", ""), type=dict[str, list[dict[str, Any]]])
        minutes = [float(use.get("estimated_time_to_regain_access", 0)) for uses in usage.values() for use in uses]
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None
    return max(minutes) * 60 if minutes and max(minutes) > 0 else None


def _status(word: str) -> DeliveryStatus:
    known: dict[str, DeliveryStatus] = {
        "ACTIVE": "enabled",
        "PAUSED": "paused",
        "DELETED": "removed",
        "ARCHIVED": "removed",
    }
    return known.get(word, "unknown")
