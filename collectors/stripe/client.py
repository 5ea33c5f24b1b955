"""What we ask of Stripe, over its REST API: lists by time of creation, and single charges as they are now.

Shapes by the API reference (docs.stripe.com/api, read Nov 2026): "List all charges", "List all refunds", "List all events", "List all
disputes", "Pagination", "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec

from collectors.bearer_api import BearerApi, Deadline, Item, Rows, rows_of
from collectors.stripe.charges import Charge
from collectors.stripe.config import StripeConnection
from core.errors import Permanent, SourceError
from core.http_client import RETRYABLE_STATUSES, redact

ENDPOINT: Final = "https://api.stripe.com"
#: Answers keep the shape of this version, whatever the account's own is ("Versioning").
VERSION: Final = "2024-06-20"
PAGE_SIZE: Final = 100
#: "List events, going back up to 30 days."
EVENTS_KEPT_MS: Final = 30 * 86_400_000

#: What becomes of a charge after it was made. Most refunds come by their own list, with the charge inside; an authorisation that is
#: given up is only marked as refunded.
CHANGES: Final = (
    "charge.succeeded",
    "charge.failed",
    "charge.captured",
    "charge.expired",
    "charge.refunded",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.closed",
)


class Page(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]
    has_more: bool


class _Identified(msgspec.Struct, frozen=True):
    id: str


class Refund(msgspec.Struct, frozen=True):
    """With `expand[]=data.charge`; null for a refund of something else than a charge."""

    id: str
    charge: Charge | None = None


class EventObject(msgspec.Struct, frozen=True):
    """A charge, or something that names one."""

    id: str
    object: str = ""
    charge: str | None = None

    @property
    def charge_id(self) -> str:
        return self.id if self.object == "charge" else self.charge or ""


class EventData(msgspec.Struct, frozen=True):
    object: EventObject


class Event(msgspec.Struct, frozen=True):
    id: str
    type: str
    data: EventData


class Dispute(msgspec.Struct, frozen=True):
    id: str
    status: str


class StripeClient:
    """One account. May be used from several threads; nobody is called before the first use."""

    def __init__(self, connection: StripeConnection, *, source: str) -> None:
        headers = {"Stripe-Version": VERSION}
        if connection.account:
            headers["Stripe-Account"] = connection.account
        self._source = source
        self._api = BearerApi(
            source,
            endpoint=connection.endpoint or ENDPOINT,
            credentials_file=connection.credentials_file,
            headers=headers,
            classify=self._error,
        )

    def charges(self, since: int, until: int, *, deadline: Deadline) -> Rows[Charge]:
        """Charges made in [since, until) ms, as they are now."""
        return self._list("v1/charges", Charge, params=_created(since, until), deadline=deadline)

    def refunded(self, since: int, until: int, *, deadline: Deadline) -> Rows[Charge]:
        """Charges, made whenever, of which something was refunded in [since, until) ms, as they are now."""
        params = _created(since, until) | {"expand[]": "data.charge"}
        refunds = self._list("v1/refunds", Refund, params=params, deadline=deadline)
        return Rows([refund.charge for refund in refunds.items if refund.charge], refunds.problems)

    def changed(self, since: int, until: int, *, deadline: Deadline) -> Rows[str]:
        """IDs of charges, made whenever, that changed in [since, until) ms. Events are kept for 30 days."""
        params = _created(since, until) | {"types[]": list(CHANGES)}
        events = self._list("v1/events", Event, params=params, deadline=deadline)
        ids = dict.fromkeys(event.data.object.charge_id for event in events.items)
        return Rows([identifier for identifier in ids if identifier], events.problems)

    def charge(self, identifier: str, *, deadline: Deadline) -> Rows[Charge]:
        """One charge as it is now."""
        found, _ = self._api.call("GET", f"v1/charges/{identifier}", msgspec.Raw, deadline=deadline)
        return rows_of([found], Charge)

    def dispute_statuses(self, charge: Charge, *, deadline: Deadline) -> list[str]:
        """How the charge's disputes stand; [] without a call when there are none."""
        if not charge.disputed:
            return []
        disputes = self._list("v1/disputes", Dispute, params={"charge": charge.id}, deadline=deadline)
        if disputes.problems:
            raise Permanent(self._source, f"disputes of {charge.id}: {disputes.problems[0]}")
        return [dispute.status for dispute in disputes.items]

    def try_all(self, *, deadline: Deadline) -> list[str]:
        """What the key may read, asked of each list that `StripeSource` needs.

        Raises:
            Permanent: the first one it may not read.
        """
        names = ("charges", "refunds", "events", "disputes")
        for name in names:
            self._api.call("GET", f"v1/{name}", Page, params={"limit": 1}, deadline=deadline)
        return list(names)

    def close(self) -> None:
        self._api.close()

    def _list(self, path: str, shape: type[Item], *, params: Mapping[str, Any], deadline: Deadline) -> Rows[Item]:
        """All pages, newest first as the API gives them; the upper bound in time keeps the pages from moving."""
        raws: list[msgspec.Raw] = []
        after: dict[str, str] = {}
        while True:
            asked = {**params, "limit": PAGE_SIZE, **after}
            page, _ = self._api.call("GET", path, Page, params=asked, deadline=deadline)
            raws += page.data
            if not page.has_more or not page.data:
                return rows_of(raws, shape)
            after = {"starting_after": self._last_id(page.data, path)}

    def _last_id(self, rows: list[msgspec.Raw], path: str) -> str:
        last = rows_of(rows[-1:], _Identified)
        if last.problems:
            raise Permanent(self._source, f"{path}: {last.problems[0]}")
        return last.items[0].id

    def _error(self, response: httpx.Response) -> SourceError | None:
        """Stripe's words for what cannot be helped by waiting; everything else follows from the status."""
        if response.status_code == 429 or response.status_code in RETRYABLE_STATUSES:
            return None
        try:
            error = msgspec.json.decode(response.content, type=dict[str, dict[str, Any]])["error"]
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            return None
        advice = {401: "the API key is not accepted", 403: "the API key may not read this"}.get(response.status_code)
        said = redact(str(error.get("message") or error.get("code") or error.get("type") or ""))[:300]
        return Permanent(self._source, f"{advice or response.status_code}: {said}")


def _created(since: int, until: int) -> dict[str, Any]:
    """Bounds in whole seconds that leave nothing of [since, until) ms out."""
    return {"created[gte]": since // 1000, "created[lt]": -(-until // 1000)}
