"""A plain webhook in the very form of Alertmanager's webhook receiver (version 4), so that a receiver need not care who calls.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from alerts.notify.base import Notification, as_posted
from alerts.notify.http_post import post_json

#: One call per incident scope, as the shipped Alertmanager route groups.
GROUP_BY = ("client", "scope")


class WebhookNotifier:
    """Calls one URL, one call per group."""

    name = "webhook"
    wants_refresh = False

    def __init__(self, url: str, *, console_url: str = "", transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._console_url = console_url
        self._client = httpx.Client(transport=transport, trust_env=False)

    def send(self, notifications: Sequence[Notification]) -> None:
        groups: dict[tuple[str, ...], list[Notification]] = {}
        for notification in notifications:
            key = tuple(notification.labels.get(name, "") for name in GROUP_BY)
            groups.setdefault(key, []).append(notification)
        for members in groups.values():
            post_json(self._client, self._url, webhook_body(members, external_url=self._console_url), source=self.name)

    def close(self) -> None:
        self._client.close()


def webhook_body(members: Sequence[Notification], *, external_url: str) -> dict[str, object]:
    """One group as Alertmanager's webhook receiver sends it."""
    group = {name: members[0].labels[name] for name in GROUP_BY if name in members[0].labels}
    alerts = [
        {
            **as_posted(each),
            "status": "resolved" if each.resolved else "firing",
            "endsAt": as_posted(each)["endsAt"] if each.resolved else "0001-01-01T00:00:00Z",
            "fingerprint": each.fingerprint,
        }
        for each in members
    ]
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": "resolved" if all(each.resolved for each in members) else "firing",
        "receiver": "clicktrace",
        "groupLabels": group,
        "commonLabels": _common([each.labels for each in members]),
        "commonAnnotations": _common([each.annotations for each in members]),
        "externalURL": external_url,
        "alerts": alerts,
    }


def _common(maps: Sequence[dict[str, str]]) -> dict[str, str]:
    return {key: value for key, value in maps[0].items() if all(each.get(key) == value for each in maps)}
