"""What a notifier takes and promises: the same for Alertmanager, a webhook and Apprise."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

import msgspec

from core.clock import to_rfc3339


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stands now. `labels` never change while it fires; everything that may change is an annotation."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: int
    ends_at: int  # in the future while it fires: it ends by itself when nobody refreshes it
    resolved: bool
    generator_url: str

    @property
    def fingerprint(self) -> str:
        """Identity of the alert: its labels. 16 hex digits."""
        return sha256(msgspec.json.encode(sorted(self.labels.items()))).hexdigest()[:16]


class Notifier(Protocol):
    """Delivers notifications. Raises `core.errors.SourceError` only, when nothing can be assumed delivered."""

    name: str
    #: True when the receiver repeats and forgets by itself and wants every refresh.
    wants_refresh: bool

    def send(self, notifications: Sequence[Notification]) -> None: ...

    def close(self) -> None: ...


def as_posted(notification: Notification) -> dict[str, object]:
    """The alert in Alertmanager's v2 form (`postableAlert`)."""
    return {
        "labels": notification.labels,
        "annotations": notification.annotations,
        "startsAt": to_rfc3339(notification.starts_at),
        "endsAt": to_rfc3339(notification.ends_at),
        "generatorURL": notification.generator_url,
    }
