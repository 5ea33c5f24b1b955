"""Stripe, pulled: payments made in a span, and older ones that changed in it (README.md beside this file)."""

from __future__ import annotations

from typing import Any

from collectors.base import Fetched
from collectors.bearer_api import Deadline, Rows, fetched
from collectors.stripe.charges import Charge, conversion_of
from collectors.stripe.client import EVENTS_KEPT_MS, StripeClient
from collectors.stripe.config import StripeConfig, StripeConnection
from collectors.windows import Window
from core.records import Record


class StripeSource:
    """One Stripe account."""

    def __init__(self, connection: StripeConnection, *, config: StripeConfig) -> None:
        self.name = f"stripe:{connection.name}"
        self.config = config
        self._connection = connection
        self._client = StripeClient(connection, source=self.name)

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """Every charge that was made or changed in the window, as it is now.

        1. Charges made in it.
        2. Charges refunded in it; read after 1, so theirs is the newer state.
        3. Charges that events of the window name, unless they came by 1 or 2: late success, expiry, disputes.
        """
        deadline = Deadline(self.name, deadline_s)
        made = self._client.charges(window.since, window.until, deadline=deadline)
        refunded = self._client.refunded(window.since, window.until, deadline=deadline)
        changed = self._changed(window, now=now, deadline=deadline)
        charges = {charge.id: charge for charge in (*made.items, *refunded.items)}
        older = [self._client.charge(each, deadline=deadline) for each in changed.items if each not in charges]
        charges |= {charge.id: charge for rows in older for charge in rows.items}
        converted = self._converted(list(charges.values()), deadline=deadline)
        lists: list[Rows[Any]] = [made, refunded, changed, *older, converted]
        problems = (problem for rows in lists for problem in rows.problems)
        return fetched(converted.items, problems, columns=made.columns)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Nothing holds now that the charges do not say."""
        return Fetched(records=[])

    def probe(self, *, now: int, deadline_s: float) -> str:
        """Whether the key may read every list that is needed."""
        return f"reads {', '.join(self._client.try_all(deadline=Deadline(self.name, deadline_s)))}"

    def close(self) -> None:
        self._client.close()

    def _changed(self, window: Window, *, now: int, deadline: Deadline) -> Rows[str]:
        if window.until <= now - EVENTS_KEPT_MS:
            return Rows([], [])
        return self._client.changed(window.since, window.until, deadline=deadline)

    def _converted(self, charges: list[Charge], *, deadline: Deadline) -> Rows[Record]:
        rows: Rows[Record] = Rows([], [])
        for charge in charges:
            disputes = self._client.dispute_statuses(charge, deadline=deadline)
            try:
                record = conversion_of(charge, self._connection, disputes=disputes)
            except ValueError as error:
                rows.problems.append(f"charge {charge.id}: {error}")
                continue
            if record is not None:
                rows.items.append(record)
        return rows
