"""The contract between the runner and a destination, and what travels between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from core.records import Record
from uploads.destination_config import ConversionMapping, DestinationConfig


class Journal(Protocol):
    """The journal's writing side (`core.journal.writer.JournalWriter`)."""

    def append_many(self, records: Iterable[Record], /) -> int: ...


class Reads(Protocol):
    """The store's reading side (`core.store.client.Store`)."""

    @property
    def store_id(self) -> str: ...

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion with the click it was matched to, as the store tells now. Times in ms, 0 = none; `fact_id` is the conversion's."""

    fact_id: str
    conversion_id: str
    type: str
    status: str
    origin: str
    ts: int
    known_at: int
    matched_at: int
    claimed: bool
    value_micros: int
    currency: str
    client: str
    order_id: str
    page: str
    user_agent: str
    email_sha256: str
    phone_sha256: str
    attributes: dict[str, str]
    platform_ids: dict[str, str]
    confidence: float
    campaign: str
    click_ts: int
    click_platform_ids: dict[str, str]
    click_user_agent: str
    consents: list[str]
    sandbox: bool
    flagged: bool


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion as it is about to be sent: `event_id` is what the platform tells repetitions by, within `reported_to`."""

    upload_id: str
    reported_to: str
    event_id: str
    mapping: ConversionMapping
    candidate: Candidate
    id_name: str
    id_value: str
    #: The ID is a click's that the conversion may not belong to.
    doubtful: bool = False

    @property
    def ts(self) -> int:
        """When it happened (ms). Clocks differ, and platforms refuse a conversion before its click."""
        return max(self.candidate.ts, self.candidate.click_ts)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform said to a request it took. With a `request_id` it still works on it, and `outcome` tells later."""

    request_id: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an accepted request. Platforms count failures by reason and do not say which event failed.

    `there` of the failures are events that the platform had before.
    """

    failures: dict[str, int] = {}
    there: int = 0
    #: The failures are the platform's own fault, and sending again may help.
    retryable: bool = False
    failed_all: bool = False


class Refused(Exception):
    """A whole request was refused because of its events, and nothing of it was taken.

    `events` names those that are at fault, by their place in the request; empty when the platform does not say.
    """

    def __init__(self, detail: str, *, events: Mapping[int, str] | None = None) -> None:
        self.detail = detail
        self.events = dict(events or {})
        super().__init__(detail)


class Destination(Protocol):
    """One account or data set of a platform. Calls raise `core.errors.SourceError` and, where said so, `Refused`; nothing else."""

    kind: ClassVar[str]
    #: The platform's word in qualified IDs.
    platform: ClassVar[str]
    #: Click IDs that the platform understands, best first.
    id_names: ClassVar[tuple[str, ...]]
    #: A second event with the same ID is recognised for this long; None = for good.
    recognised_ms: ClassVar[int | None]
    config: DestinationConfig

    @property
    def account(self) -> str:
        """The ad account that is reported to; "" when the destination is none."""
        ...

    @property
    def reported_to(self) -> str:
        """What stays the same when the destination is called something else: its kind and the account or data set."""
        ...

    def objection(self, event: Event, *, now: int) -> str:
        """A word of `uploads.states.SKIPPED` when the platform would not take this event, else ""."""
        ...

    def send(self, events: Sequence[Event], *, deadline_s: float) -> Receipt:
        """One request with events of one target, sent once: whether to repeat it is the runner's to decide.

        Raises:
            Refused: nothing was taken, because of these events.
        """
        ...

    def outcome(self, request_id: str, *, deadline_s: float) -> Outcome | None:
        """What became of an accepted request; None while the platform works on it."""
        ...

    def probe(self, *, deadline_s: float) -> str:
        """Try credentials and rights without reporting anything; what was reached, in a few words."""
        ...

    def close(self) -> None: ...
