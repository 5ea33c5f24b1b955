"""What we ask of HubSpot, over its CRM API: objects modified in a span, objects by ID, the contacts of deals.

Shapes by developers.hubspot.com (read Nov 2026): "Search the CRM", "Contacts", "Deals", "Associations v4", "API usage guidelines and
limits", "Error handling".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import httpx
import msgspec

from collectors.base import Quota
from collectors.bearer_api import BearerApi, Deadline, Rows, rows_of
from collectors.hubspot.config import HubspotConnection
from collectors.hubspot.objects import HubspotObject
from core.clock import now_ms
from core.errors import Permanent, QuotaExceeded, SourceError
from core.http_client import RETRYABLE_STATUSES, redact, retry_after_s

ENDPOINT: Final = "https://api.hubapi.com"
SEARCH_PAGE: Final = 200
BATCH: Final = 100
CREATED: Final = "createdate"
MODIFIED: Final[Mapping[str, str]] = {"contacts": "lastmodifieddate", "deals": "hs_lastmodifieddate"}
#: `policyName` of a 429 -> seconds after which its budget is there again. Search says "secondly" in its message only.
WAITS_S: Final[Mapping[str, float]] = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0, "DAILY": 3600.0}
SECONDLY: Final = "secondly limit"

ObjectType = Literal["contacts", "deals"]


class Found(msgspec.Struct, frozen=True):
    """Answer of a search or a batch read; `paging` stands in a search's that has more pages."""

    results: list[msgspec.Raw]
    paging: dict[str, Any] | None = None


class _From(msgspec.Struct, frozen=True):
    id: str


class _To(msgspec.Struct, frozen=True, rename="camel"):
    to_object_id: int


class _Association(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: _From
    to: list[_To]


class Pace:
    """At most so many calls a second, over all threads of one source."""

    def __init__(
        self,
        per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap_s = 1 / per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may be made."""
        with self._lock:
            now = self._monotonic()
            at = max(now, self._next)
            self._next = at + self._gap_s
        if at > now:
            self._sleep(at - now)


class HubspotClient:
    """One portal. May be used from several threads; nobody is called before the first use."""

    def __init__(self, connection: HubspotConnection, *, source: str, searches_per_second: float) -> None:
        self._source = source
        self._pace = Pace(searches_per_second)
        self._quota: Quota | None = None
        self._api = BearerApi(
            source,
            endpoint=connection.endpoint or ENDPOINT,
            credentials_file=connection.credentials_file,
            classify=self._error,
        )

    @property
    def quota(self) -> Quota | None:
        """Calls of the day, as the last answer that told them did; searches do not."""
        return self._quota

    def touched(
        self, kind: ObjectType, since: int, until: int, *, properties: Sequence[str], deadline: Deadline
    ) -> Rows[HubspotObject]:
        """Objects created or last modified in [since, until) ms, each once.

        Both, so that a span of the past holds all that began in it, whenever it was modified since, and all that changed in it, whenever
        it began. By ascending ID, each page asking for IDs beyond the last one, and never by HubSpot's own cursor: that ends after 10,000 results,
        and loses objects that are modified (so leave the span) while it moves.
        """
        rows: Rows[HubspotObject] = Rows([], [])
        last = "0"
        while True:
            groups = [_span(name, since, until, beyond=last) for name in (CREATED, MODIFIED[kind])]
            found = self._search(kind, groups, properties=properties, limit=SEARCH_PAGE, deadline=deadline)
            page = rows_of(found.results, HubspotObject)
            rows.add(page)
            # A page may be shorter than what was asked for and not be the last.
            if len(found.results) < SEARCH_PAGE and not found.paging:
                return rows
            last = self._beyond(page, last, kind)

    def by_id(
        self, kind: ObjectType, identifiers: Iterable[str], *, properties: Sequence[str], deadline: Deadline
    ) -> Rows[HubspotObject]:
        """Objects by their IDs; those that are gone are left out."""
        rows: Rows[HubspotObject] = Rows([], [])
        for batch in _batches(identifiers):
            asked = {"properties": list(properties), "propertiesWithHistory": [], "inputs": batch}
            found = self._post(f"crm/v3/objects/{kind}/batch/read", asked, deadline=deadline)
            page = rows_of(found.results, HubspotObject)
            rows.add(page)
        return rows

    def contacts_of(self, deals: Iterable[str], *, deadline: Deadline) -> dict[str, list[str]]:
        """Deal ID -> IDs of its contacts, in HubSpot's order; a deal without any is left out."""
        contacts: dict[str, list[str]] = {}
        for batch in _batches(deals):
            found = self._post("crm/v4/associations/deals/contacts/batch/read", {"inputs": batch}, deadline=deadline)
            rows = rows_of(found.results, _Association)
            if rows.problems:
                raise Permanent(self._source, f"associations: {rows.problems[0]}")
            for row in rows.items:
                contacts[row.from_.id] = [str(to.to_object_id) for to in row.to]
        return contacts

    def try_search(self, kind: ObjectType, *, deadline: Deadline) -> None:
        """One search, for its permission alone."""
        self._search(kind, [[_filter("hs_object_id", "GT", "0")]], properties=[], limit=1, deadline=deadline)

    def close(self) -> None:
        self._api.close()

    def _search(
        self,
        kind: ObjectType,
        groups: list[list[dict[str, str]]],
        *,
        properties: Sequence[str],
        limit: int,
        deadline: Deadline,
    ) -> Found:
        self._pace.wait()
        body = {
            "filterGroups": [{"filters": filters} for filters in groups],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": list(properties),
            "limit": limit,
        }
        return self._post(f"crm/v3/objects/{kind}/search", body, deadline=deadline)

    def _post(self, path: str, body: Any, *, deadline: Deadline) -> Found:
        found, headers = self._api.call("POST", path, Found, json=body, deadline=deadline)
        self._quota = daily_quota(headers) or self._quota
        return found

    def _beyond(self, page: Rows[HubspotObject], last: str, kind: ObjectType) -> str:
        """The highest ID of a page that is not the last; without a higher one the next page would be the same again."""
        highest = max((item.id for item in page.items if item.id.isdigit()), key=int, default="0")
        if int(highest) <= int(last):
            raise Permanent(self._source, f"{kind}: a page of the search has no higher ID than the page before")
        return highest

    def _error(self, response: httpx.Response) -> SourceError | None:
        """HubSpot's words for what cannot be helped by waiting, and its budgets for what can."""
        if response.status_code in RETRYABLE_STATUSES:
            return None
        try:
            error = msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        said = redact(str(error.get("message") or error.get("category") or ""))[:300]
        if response.status_code == 429:
            policy = str(error.get("policyName") or ("SECONDLY" if SECONDLY in said else ""))
            told = retry_after_s(response, now=now_ms())
            return QuotaExceeded(self._source, said, retry_after_s=told or WAITS_S.get(policy))
        advice = {401: "the access token is not accepted", 403: "the private app lacks a scope"}
        return Permanent(self._source, f"{advice.get(response.status_code, response.status_code)}: {said}")


def daily_quota(headers: Mapping[str, str]) -> Quota | None:
    """Calls of the day that X-HubSpot-RateLimit-Daily and -Daily-Remaining tell; None when they do not."""
    try:
        limit = int(headers["x-hubspot-ratelimit-daily"])
        remaining = int(headers["x-hubspot-ratelimit-daily-remaining"])
    except (KeyError, ValueError):
        return None
    return Quota(unit="calls a day", used=limit - remaining, limit=limit)


def _span(name: str, since: int, until: int, *, beyond: str) -> list[dict[str, str]]:
    """One group of filters, all of which must hold; groups are alternatives."""
    return [
        _filter(name, "GTE", str(since)),
        _filter(name, "LT", str(until)),
        _filter("hs_object_id", "GT", beyond),
    ]


def _filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": value}


def _batches(identifiers: Iterable[str]) -> Iterator[list[dict[str, str]]]:
    inputs = [{"id": identifier} for identifier in dict.fromkeys(identifiers)]
    for start in range(0, len(inputs), BATCH):
        yield inputs[start : start + BATCH]
