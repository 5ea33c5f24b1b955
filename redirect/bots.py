"""What a single request gives away about who sent it: the signals seen on the spot.

Cheap and memoised, only from the request itself, only what a browser cannot look like by accident. A signal is a word of
`redirect.reasons.BOT_SIGNALS`; it is recorded with the click and never changes the answer. Lists, networks and behaviour are judged
later, off the hot path (`correlator/traffic_quality.py`).

Left out on purpose, because people's browsers do it, too: a missing Accept-Language, missing Sec-Fetch headers (plain HTTP, older
phones, in-app browsers), client hints that disagree with the user agent (the "desktop site" switch), unusual header order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from redirect import reasons

MAX_USER_AGENT: Final = 512
_HEADLESS: Final = (b"Headless", b"PhantomJS")
_encode = msgspec.json.Encoder().encode


def members(agent: bytes, accept: bytes, client_hints: bytes) -> bytes:
    """JSON members of the Click, with a leading comma: `user_agent` and `bot_signals`, each where there is one.

    Args:
        agent: the User-Agent header, b"" when missing; accept and client_hints (Sec-CH-UA) likewise.
    """
    # One argument makes half the cost of remembering: the usual request has its own memory.
    if accept and (not client_hints or b"Headless" not in client_hints):
        return _usual(agent[:MAX_USER_AGENT])
    return _members(agent[:MAX_USER_AGENT], bool(accept), b"Headless" in client_hints)


def signals(agent: bytes, accepts: bool, hinted: bool) -> tuple[str, ...]:
    """The words that hold for a request, in the order of the closed list; `hinted` = its client hints name a headless browser."""
    found = []
    if not agent:
        found.append(reasons.NO_USER_AGENT)
    # A driver that changes its User-Agent still names its brand in the client hints.
    if hinted or any(word in agent for word in _HEADLESS):
        found.append(reasons.HEADLESS)
    # Every browser sends one with every request (RFC 9110 leaves it optional, Fetch §4.1 does not); libraries and apps may not.
    if not accepts:
        found.append(reasons.NO_ACCEPT)
    return tuple(found)


@lru_cache(maxsize=4096)
def _usual(agent: bytes) -> bytes:
    return _members(agent, True, False)


@lru_cache(maxsize=4096)
def _members(agent: bytes, accepts: bool, hinted: bool) -> bytes:
    named = b',"user_agent":' + _encode(agent.decode("utf-8", "replace")) if agent else b""
    found = signals(agent, accepts, hinted)
    return named + (b',"bot_signals":' + _encode(found) if found else b"")
