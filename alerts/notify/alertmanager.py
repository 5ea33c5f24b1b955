"""Prometheus Alertmanager through its v2 API. It groups, silences, repeats and routes; we only say, again and again, what is true.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (POST /api/v2/alerts). The package that is called
alertmanager-client does not exist on the index, so this is plain HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from alerts.notify.base import Notification, as_posted
from alerts.notify.http_post import post_json


class AlertmanagerNotifier:
    """Posts alerts; each ends by itself unless it is refreshed."""

    name = "alertmanager"
    wants_refresh = True

    def __init__(self, url: str, *, token: str = "", transport: httpx.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._client = httpx.Client(headers=headers, transport=transport, trust_env=False)

    def send(self, notifications: Sequence[Notification]) -> None:
        if notifications:
            post_json(self._client, self._url, [as_posted(each) for each in notifications], source=self.name)

    def close(self) -> None:
        self._client.close()
