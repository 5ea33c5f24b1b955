"""Apprise: mail, chat and phone without an Alertmanager. One message per alert, the buyer's text first."""

from __future__ import annotations

from collections.abc import Sequence

import apprise

from alerts.notify.base import Notification
from core.errors import Permanent, Transient

#: Annotations in the order a reader needs them; the rest is for machines.
_BODY = ("description", "approve_url", "engineer", "console_url", "runbook_url")


class AppriseNotifier:
    """Sends to every configured Apprise URL."""

    name = "apprise"
    wants_refresh = False

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises:
        Permanent: an URL that Apprise does not understand.
        """
        self._apprise = apprise.Apprise()
        for index, url in enumerate(urls):
            if not self._apprise.add(url):
                # The URL itself may carry a password, so it is named by its place.
                raise Permanent(self.name, f"alerts.apprise_urls.{index}: not an Apprise URL")

    def send(self, notifications: Sequence[Notification]) -> None:
        failed = [each for each in notifications if not self._send_one(each)]
        if failed:
            raise Transient(
                self.name, f"{len(failed)} of {len(notifications)} messages were not taken by every receiver"
            )

    def close(self) -> None:
        """Apprise keeps no connection."""

    def _send_one(self, notification: Notification) -> bool:
        kind = apprise.NotifyType.SUCCESS if notification.resolved else apprise.NotifyType.WARNING
        title = notification.annotations.get("summary", notification.labels["alertname"])
        title = f"Resolved: {title}" if notification.resolved else title
        return bool(self._apprise.notify(title=title, body=message_body(notification), notify_type=kind))


def message_body(notification: Notification) -> str:
    """The annotations people read, one paragraph each."""
    return "\n\n".join(notification.annotations[name] for name in _BODY if notification.annotations.get(name))
