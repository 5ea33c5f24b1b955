"""Device, browser and operating system of a raw user agent, by lists that others keep."""

from __future__ import annotations

from functools import lru_cache

import msgspec
from ua_parser import parse as parse_user_agent

from core.crawlers import crawlers

_TABLETS = ("iPad", "Tablet", "Kindle", "Silk/")


class UserAgent(msgspec.Struct, frozen=True, kw_only=True):
    """`device` is desktop, mobile, tablet, bot or other."""

    device: str
    browser: str
    os: str
    bot: bool


@lru_cache(maxsize=65_536)
def describe(raw: str) -> UserAgent:
    """What a user agent says of itself; an empty or unknown one is device ``other``."""
    if not raw:
        return UserAgent(device="other", browser="", os="", bot=False)
    line = raw.encode("utf-8", "replace")  # half a surrogate pair is no text to the parser
    found = parse_user_agent(line.decode())
    browser = found.user_agent.family if found.user_agent else ""
    system = found.os.family if found.os else ""
    if crawlers().search(line):
        return UserAgent(device="bot", browser=browser, os=system, bot=True)
    return UserAgent(device=_device(raw, system), browser=browser, os=system, bot=False)


def _device(raw: str, system: str) -> str:
    # Android tablets differ from phones only by the missing word "Mobile" (Chrome's documented rule).
    if any(word in raw for word in _TABLETS) or (system == "Android" and "Mobile" not in raw):
        return "tablet"
    if "Mobile" in raw or system in ("iOS", "Android", "Windows Phone"):
        return "mobile"
    if system in ("Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Chrome OS"):
        return "desktop"
    return "other"
