"""What a report is asked: which period, known when, by which grain, for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_rfc3339, to_rfc3339
from core.errors import Conflict, Forbidden, Invalid
from core.principal import Principal
from correlator.dimensions import CAMPAIGN, dimension
from correlator.matching import EVERYTHING

GRAINS: Final[dict[str, int]] = {"1m": MINUTE_MS, "15m": 15 * MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
MAX_BUCKETS: Final = 20_000
#: `known_at` (ms) up to which everything journaled is in the store (`core.shipper.Shipper.shipped_through`).
ShippedThrough = Callable[[int], int]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A period [since, until) in ms, seen at `now` with what was known at `as_of` (None: with everything known)."""

    since: int
    until: int
    now: int
    as_of: int | None = None
    grain_ms: int = 0  # 0: the whole period is one bucket
    campaign: str = ""
    clients: tuple[str, ...] = ()  # () = all
    by: str = CAMPAIGN.name  # one of `correlator.dimensions.DIMENSIONS`
    #: From when on (ms) everything that the answer rests on is kept; 0 = all of it is (`correlator.kept`).
    kept_from: int = 0
    #: A query for the matches known by `as_of`, where they were put before; "" = computed for each query.
    matched_in: str = ""
    #: False: no click waits for a platform to name its campaign, so names need not be looked up (`report_queries.named_where_needed`).
    to_name: bool = True

    @property
    def known_by(self) -> int:
        """The bound that versions are chosen by."""
        return EVERYTHING if self.as_of is None else self.as_of

    @property
    def at(self) -> int:
        """The moment from which windows are judged open or closed."""
        return self.now if self.as_of is None else self.as_of

    @property
    def long_buckets(self) -> bool:
        """Whether the answer has no buckets shorter than an hour."""
        return self.grain_ms in (0, HOUR_MS, DAY_MS)

    @property
    def bucket_ms(self) -> int:
        return self.grain_ms or max(1, self.until - self.since)

    def about(self, since: int, until: int) -> Question:
        """The same question about another period (ms)."""
        return msgspec.structs.replace(self, since=since, until=until)

    def params(self) -> dict[str, object]:
        return {
            "since": self.since,
            "until": self.until,
            "as_of": self.known_by,
            "at": self.at,
            "grain_ms": self.bucket_ms,
            "campaign": self.campaign,
            "clients": list(self.clients),
        }


def clients_for(principal: Principal, client: str) -> tuple[str, ...]:
    """Whose rows may be shown: the one asked for, else those the key sees, () = all.

    Raises:
        Forbidden: `forbidden_client`, the key does not see the client it asks for.
    """
    if client and not principal.sees(client):
        raise Forbidden("forbidden_client", f"this key does not see the client {client!r}")
    return (client,) if client else tuple(sorted(principal.clients))


def ask(
    *,
    since: str,
    until: str,
    as_of: str,
    grain: str = "",
    campaign: str = "",
    clients: tuple[str, ...] = (),
    by: str = "",
    now: int,
    complete_through: ShippedThrough,
    default_span_ms: int = DAY_MS,
) -> Question:
    """A question from the texts of a request; the period is widened to whole buckets of its grain.

    Raises:
        Invalid: `bad_time`, `bad_grain`, `bad_dimension`, `bad_period` or `too_many_buckets`.
        Conflict: `as_of_not_complete`, not everything journaled up to then is in the store yet.
    """
    grain_ms = _grain(grain)
    known_by = _time(as_of, "as_of") if as_of else None
    if known_by is not None:
        check_complete(known_by, complete_through(now))
    end = _time(until, "to") if until else (now if known_by is None else known_by)
    begin = _time(since, "from") if since else end - default_span_ms
    if begin >= end:
        raise Invalid("bad_period", "from: must lie before to")
    if grain_ms:
        begin, end = begin - begin % grain_ms, -(-end // grain_ms) * grain_ms
        if (end - begin) // grain_ms > MAX_BUCKETS:
            raise Invalid("too_many_buckets", f"grain: more than {MAX_BUCKETS} buckets; ask for a coarser grain")
    return Question(
        since=begin,
        until=end,
        now=now,
        as_of=known_by,
        grain_ms=grain_ms,
        campaign=campaign,
        clients=clients,
        by=dimension(by).name,
    )


def check_complete(as_of: int, shipped: int) -> None:
    """An as-of answer never changes: it is given only when nothing that was known by then can still arrive.

    Raises:
        Conflict: `as_of_not_complete`.
    """
    if as_of > shipped:
        behind = to_rfc3339(shipped) if shipped else "nothing yet"
        raise Conflict("as_of_not_complete", f"as_of: the store has everything journaled through {behind}; ask again")


def _grain(text: str) -> int:
    if text and text not in GRAINS:
        raise Invalid("bad_grain", f"grain: {text!r} is none of {', '.join(GRAINS)}")
    return GRAINS.get(text, 0)


def _time(text: str, name: str) -> int:
    # In a query string an unescaped + of an offset arrives as a space.
    try:
        return parse_rfc3339(text.replace(" ", "+") if "T" in text else text)
    except ValueError as error:
        raise Invalid("bad_time", f"{name}: {error}") from None
