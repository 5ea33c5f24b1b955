"""Stripe on the wire: the lists and objects that the product reads, with their paging and error objects, and signed webhooks.

GET /v1/charges, /v1/refunds, /v1/events, /v1/disputes, /v1/charges/{id}

Objects have the fields of the API reference's examples ("The Charge object", "The Refund object", "The Dispute object", "The Event
object"; docs.stripe.com/api, read Nov 2026), also those that we leave alone.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.collectors.sandboxes.base import Answer, Request, bearer
from tests.collectors.sandboxes.tokens import TokenCase, TokenSandbox

Json = dict[str, Any]
LIST_PARAMETERS = {
    "charges": {"customer", "payment_intent", "transfer_group"},
    "refunds": {"charge", "payment_intent"},
    "events": {"type", "types[]", "delivery_success"},
    "disputes": {"charge", "payment_intent"},
}


class StripeSandbox(TokenSandbox):
    """One account. `denied` are resources that the restricted key may not read."""

    token_prefix = "rk_test_"
    secret_prefix = "whsec_"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.denied: set[str] = set()
        self.objects: dict[str, dict[str, Json]] = {name: {} for name in LIST_PARAMETERS}
        self._made = 0

    # --- what happens at the account --------------------------------------------------------------------------------------------

    def charge(self, *, ts: int | None = None, **fields: Any) -> Json:
        """A charge of 59.90 EUR by card, paid and captured unless `fields` say otherwise; `ts` in ms."""
        created = (self.clock() if ts is None else ts) // 1000
        charge = new_charge(self._id("ch"), created) | fields
        self._keep("charges", charge)
        event = {"failed": "charge.failed", "pending": "charge.pending"}.get(charge["status"], "charge.succeeded")
        self._event(event, charge, created=created)
        return charge

    def change(self, charge: Json, event: str, **fields: Any) -> None:
        charge.update(fields)
        self._event(event, charge)

    def refund(self, charge: Json, amount: int | None = None) -> Json:
        """Give `amount` back, in the smallest unit; all of it unless told otherwise."""
        refund = new_refund(self._id("re"), self.clock() // 1000, charge, amount or charge["amount"])
        charge["amount_refunded"] += refund["amount"]
        charge["refunded"] = charge["amount_refunded"] >= charge["amount_captured"]
        self._keep("refunds", refund)
        self._event("charge.refunded", charge)
        self._event("refund.created", refund)
        return refund

    def dispute(self, charge: Json) -> Json:
        dispute = new_dispute(self._id("du"), self.clock() // 1000, charge)
        charge["disputed"] = True
        self._keep("disputes", dispute)
        self._event("charge.dispute.created", dispute)
        return dispute

    def close_dispute(self, dispute: Json, status: str) -> None:
        dispute["status"] = status
        self._event("charge.dispute.closed", dispute)

    def last_event(self) -> Json:
        return copy.deepcopy(list(self.objects["events"].values())[-1])

    def sign(self, body: bytes, *, at: int | None = None, secret: str = "") -> str:
        """The Stripe-Signature of a body sent at `at` (seconds), with a v0 signature beside it as test events have."""
        sent = self.clock() // 1000 if at is None else at
        digest = hmac.new((secret or self.secret).encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={sent},v1={digest},v0={'0' * 64}"

    def _id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_3Q{self._made:022d}"

    def _keep(self, name: str, found: Json) -> None:
        with self.lock:
            self.objects[name][found["id"]] = found

    def _event(self, type: str, about: Json, *, created: int = 0) -> None:
        event = new_event(self._id("evt"), created or self.clock() // 1000, type, copy.deepcopy(about))
        self._keep("events", event)

    # --- the API ----------------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        if bearer(request.headers) != self.token:
            return _error(401, "Invalid API Key provided: rk_test_****wrong", type="invalid_request_error")
        _, _, rest = request.path.partition("/v1/")
        name, _, identifier = rest.partition("/")
        if name in self.denied:
            said = f"The provided key 'rk_test_***' does not have the required permissions for this endpoint: {name}"
            return _error(403, said, type="invalid_request_error")
        if name not in self.objects or request.method != "GET":
            return _error(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        with self.lock:
            return self._one(name, identifier) if identifier else self._list(name, request)

    def quota_answer(self, request: Request) -> Answer:
        wait = {"retry-after": str(round(self.behaviour.retry_after_s))} if self.behaviour.retry_after_s else {}
        said = "Request rate limit exceeded. Learn more here https://stripe.com/docs/rate-limits"
        answer = _error(429, said, code="rate_limit")
        return Answer(status=429, body=answer.body, headers=wait | {"stripe-rate-limited-reason": "global-rate"})

    def error_answer(self, request: Request) -> Answer:
        return _error(500, "An unknown error occurred", type="api_error")

    def _one(self, name: str, identifier: str) -> Answer:
        found = self.objects[name].get(identifier)
        if found is None:
            return _error(404, f"No such {name[:-1]}: '{identifier}'", code="resource_missing")
        return Answer(body=copy.deepcopy(found))

    def _list(self, name: str, request: Request) -> Answer:
        allowed = LIST_PARAMETERS[name] | {"limit", "starting_after", "created[gte]", "created[lt]", "expand[]"}
        unknown = sorted(set(request.query) - allowed)
        if unknown:
            return _error(400, f"Received unknown parameter: {unknown[0]}", code="parameter_unknown")
        rows = self._matching(name, request)
        size = min(int(request.query.get("limit", "10")), 100, self.behaviour.page_size)
        start = 0
        if after := request.query.get("starting_after"):
            start = next(at for at, row in enumerate(rows) if row["id"] == after) + 1
        data = [self._expanded(row, request) for row in rows[start : start + size]]
        return Answer(
            body={
                "object": "list",
                "url": request.path,
                "has_more": start + size < len(rows),
                "data": copy.deepcopy(data),
            }
        )

    def _matching(self, name: str, request: Request) -> list[Json]:
        """Newest first. What happened is shown `report_lag_s` later."""
        since, until = int(request.query.get("created[gte]", "0")), int(request.query.get("created[lt]", str(2**40)))
        shown = self.clock() / 1000 - self.behaviour.report_lag_s
        types = [value for key, value in request.pairs if key == "types[]"]
        charge = request.query.get("charge")
        rows = [
            row
            for row in self.objects[name].values()
            if since <= row["created"] < until
            and row["created"] <= shown
            and (not types or row["type"] in types)
            and (charge is None or row["charge"] == charge)
        ]
        return sorted(rows, key=lambda row: (row["created"], row["id"]), reverse=True)

    def _expanded(self, row: Json, request: Request) -> Json:
        if ("expand[]", "data.charge") in request.pairs:
            return row | {"charge": self.objects["charges"][row["charge"]]}
        return row


def _error(status: int, message: str, *, type: str = "invalid_request_error", code: str = "") -> Answer:
    error = {"type": type, "message": message, **({"code": code} if code else {})}
    return Answer(status=status, body={"error": error})


def new_charge(identifier: str, created: int) -> Json:
    return {
        "id": identifier, "object": "charge", "amount": 5990, "amount_captured": 5990, "amount_refunded": 0, "application": None,
        "application_fee": None, "application_fee_amount": None, "balance_transaction": "txn_1MiN3gLkdIwHu7ixxapQrznl",
        "billing_details": {
            "address": {"city": None, "country": "DE", "line1": None, "line2": None, "postal_code": None, "state": None},
            "email": None, "name": None, "phone": None, "tax_id": None,
        },
        "calculated_statement_descriptor": "SHOP", "captured": True, "created": created, "currency": "eur", "customer": None,
        "description": None, "disputed": False, "failure_balance_transaction": None, "failure_code": None, "failure_message": None,
        "fraud_details": {}, "invoice": None, "livemode": False, "metadata": {}, "on_behalf_of": None,
        "outcome": {"network_status": "approved_by_network", "risk_level": "normal", "seller_message": "Payment complete.", "type": "authorized"},
        "paid": True, "payment_intent": identifier.replace("ch_", "pi_"), "payment_method": "pm_1MiN3gLkdIwHu7ix1cDlEXAW",
        "payment_method_details": {"card": {"brand": "visa", "country": "DE", "last4": "4242"}, "type": "card"},
        "receipt_email": None, "receipt_number": None, "receipt_url": "https://pay.stripe.com/receipts/payment/x", "refunded": False,
        "review": None, "shipping": None, "source_transfer": None, "statement_descriptor": None, "statement_descriptor_suffix": None,
        "status": "succeeded", "transfer_data": None, "transfer_group": None,
    }  # fmt: skip


def new_refund(identifier: str, created: int, charge: Json, amount: int) -> Json:
    return {
        "id": identifier, "object": "refund", "amount": amount, "balance_transaction": "txn_1Nispe2eZvKYlo2CYezqFhEx",
        "charge": charge["id"], "created": created, "currency": charge["currency"], "metadata": {},
        "payment_intent": charge["payment_intent"], "reason": None, "receipt_number": None, "source_transfer_reversal": None,
        "status": "succeeded", "transfer_reversal": None,
    }  # fmt: skip


def new_dispute(identifier: str, created: int, charge: Json) -> Json:
    return {
        "id": identifier, "object": "dispute", "amount": charge["amount"], "balance_transactions": [], "charge": charge["id"],
        "created": created, "currency": charge["currency"], "evidence": {}, "evidence_details": {"due_by": created + 7 * 86_400},
        "is_charge_refundable": False, "livemode": False, "metadata": {}, "payment_intent": charge["payment_intent"],
        "reason": "fraudulent", "status": "needs_response",
    }  # fmt: skip


def new_event(identifier: str, created: int, type: str, about: Json) -> Json:
    return {
        "id": identifier, "object": "event", "api_version": "2024-06-20", "created": created, "data": {"object": about},
        "livemode": False, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type,
    }  # fmt: skip


class StripeCase(TokenCase):
    """For the suite over all sources: a payment of `number` euros happens."""

    section = "stripe"
    lag_s = 60
    restates = True
    make = StripeSandbox

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self._charges: dict[int, Json] = {}

    def settings(self) -> dict[str, Any]:
        return {"connections": [self.sandbox.connection(name="shop")]}

    def add(self, number: int, *, ts: int) -> None:
        amount = number * 100
        self._charges[number] = self.sandbox.charge(
            ts=ts, amount=amount, amount_captured=amount, metadata={"order_id": f"o-{number}"}
        )

    def restate(self, number: int) -> None:
        self.sandbox.refund(self._charges[number], 50)


def body_of(event: Json) -> bytes:
    """The event as Stripe sends it: pretty JSON."""
    return json.dumps(event, indent=2).encode()
