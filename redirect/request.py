"""A parsed request as the handler sees it: the few header fields it reads, by slot.

The parser calls back once per header; a list slot costs less than a dict of all of them, and what nobody reads is not kept.
"""

from __future__ import annotations

from typing import Final

IGNORED: Final = 0
HOST: Final = 1
USER_AGENT: Final = 2
REFERER: Final = 3
COOKIE: Final = 4
SEC_GPC: Final = 5
PURPOSE: Final = 6
SEC_FETCH_MODE: Final = 7
SEC_FETCH_DEST: Final = 8
FORWARDED_FOR: Final = 9
FORWARDED_PROTO: Final = 10
IF_NONE_MATCH: Final = 11
ORIGIN: Final = 12
EXPECT: Final = 13
PING_TO: Final = 14
ACCEPT: Final = 15
CLIENT_HINTS: Final = 16
ACCEPT_LANGUAGE: Final = 17
CANARY: Final = 18
_SLOTS: Final = 19

_NAMES: Final[dict[str, int]] = {
    "Host": HOST,
    "User-Agent": USER_AGENT,
    "Referer": REFERER,
    "Cookie": COOKIE,
    "Sec-GPC": SEC_GPC,
    "Sec-Purpose": PURPOSE,
    "Purpose": PURPOSE,
    "X-Purpose": PURPOSE,
    "X-Moz": PURPOSE,
    "Accept-Language": ACCEPT_LANGUAGE,
    "Sec-Fetch-Mode": SEC_FETCH_MODE,
    "Sec-Fetch-Dest": SEC_FETCH_DEST,
    "X-Forwarded-For": FORWARDED_FOR,
    "X-Forwarded-Proto": FORWARDED_PROTO,
    "If-None-Match": IF_NONE_MATCH,
    "Origin": ORIGIN,
    "Expect": EXPECT,
    "Ping-To": PING_TO,
    "Accept": ACCEPT,
    "Sec-CH-UA": CLIENT_HINTS,
    "X-Clicktrace-Canary": CANARY,
    # What browsers send on every navigation and nobody here reads: known, so that it costs one look-up and no lower().
    "Accept-Encoding": IGNORED,
    "Cache-Control": IGNORED,
    "Connection": IGNORED,
    "DNT": IGNORED,
    "Pragma": IGNORED,
    "Priority": IGNORED,
    "Sec-CH-UA-Mobile": IGNORED,
    "Sec-CH-UA-Platform": IGNORED,
    "Sec-Fetch-Site": IGNORED,
    "Sec-Fetch-User": IGNORED,
    "Upgrade-Insecure-Requests": IGNORED,
}

#: Spelling as sent -> slot, for the usual spellings; anything else is looked up in lower case.
SLOT_OF: Final[dict[bytes, int]] = {
    spelling: slot for name, slot in _NAMES.items() for spelling in (name.encode(), name.lower().encode())
}

EMPTY_FIELDS: Final[list[bytes]] = [b""] * _SLOTS


def slot_of(name: bytes) -> int:
    """The slot of a header name in any spelling; `IGNORED` when nobody reads it."""
    return SLOT_OF.get(name.lower(), IGNORED)


class Request:
    """One request. Mutable and reused by its connection: whoever keeps one must copy it."""

    __slots__ = ("address", "body", "fields", "keep_alive", "method", "secure", "started", "target")

    def __init__(
        self,
        method: bytes = b"GET",
        target: bytes = b"/",
        *,
        fields: list[bytes] | None = None,
        body: bytes = b"",
        address: str = "",
        secure: bool = False,
        keep_alive: bool = True,
        started: float = 0.0,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = EMPTY_FIELDS.copy() if fields is None else fields
        self.body = body
        #: The visitor's address: the peer's, or the one a trusted proxy reports.
        self.address = address
        #: HTTPS on the visitor's side.
        self.secure = secure
        self.keep_alive = keep_alive
        #: Monotonic seconds when its first byte arrived.
        self.started = started
