"""HubSpot, pulled: contacts and deals that were created or modified in a span (README.md beside this file)."""

from __future__ import annotations

from collectors.base import Fetched, Quota
from collectors.bearer_api import Deadline, fetched
from collectors.hubspot.client import HubspotClient
from collectors.hubspot.config import HubspotConfig, HubspotConnection
from collectors.hubspot.reading import Reading
from collectors.windows import Window


class HubspotSource:
    """One portal."""

    def __init__(self, connection: HubspotConnection, *, config: HubspotConfig) -> None:
        self.name = f"hubspot:{connection.name}"
        self.config = config
        self._connection = connection
        self._client = HubspotClient(connection, source=self.name, searches_per_second=config.searches_per_second)
        self._reading = Reading(self._client, connection)

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        found = self._reading.touched(window.since, window.until, deadline=Deadline(self.name, deadline_s))
        return fetched(found.items, found.problems, columns=found.columns)

    def describe(self, *, now: int, deadline_s: float) -> Fetched:
        """Nothing holds now that the objects do not say."""
        return Fetched(records=[])

    def quota(self) -> Quota | None:
        return self._client.quota

    def probe(self, *, now: int, deadline_s: float) -> str:
        """Whether the token may search what is to be read."""
        deadline = Deadline(self.name, deadline_s)
        # Deals get their click from their contacts, so these are needed in any case.
        self._client.try_search("contacts", deadline=deadline)
        if self._connection.deals:
            self._client.try_search("deals", deadline=deadline)
        return f"reads contacts{' and deals' if self._connection.deals else ''}"

    def close(self) -> None:
        self._client.close()
