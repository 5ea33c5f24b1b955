"""What conditions may ask about a visitor, worked out when a rule asks and not before.

A plain link asks nothing, so nothing here runs for it, and the lists behind the user agent are loaded by the first rule that needs
them (140 ms once per worker, 38 MB).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from core.identity import first_values
from redirect.country import Countries

MAX_USER_AGENT: Final = 512
MAX_ACCEPT_LANGUAGE: Final = 256
#: Families of the kept list -> the words of `When.os`; every other one is "other".
_SYSTEMS: Final[dict[str, str]] = {
    "iOS": "ios",
    "Android": "android",
    "Windows": "windows",
    "Mac OS X": "macos",
    "Chrome OS": "chromeos",
    **dict.fromkeys(("Linux", "Ubuntu", "Fedora", "Debian", "Red Hat", "CentOS", "SUSE", "Arch Linux"), "linux"),
}


class Visitor(Protocol):
    """The facts a rule can ask for."""

    @property
    def device(self) -> str: ...
    @property
    def os(self) -> str: ...
    @property
    def languages(self) -> frozenset[str]:
        """The most preferred language and what it belongs to, in lower case: de-at, de."""
        ...

    def country(self, now: int) -> str | None:
        """ISO 3166-1 alpha-2, "" when unknown, None without a database."""
        ...

    def parameter(self, name: bytes) -> bytes | None:
        """The first value of a query parameter, percent-decoded."""
        ...


class RequestVisitor:
    """The facts as a request states them."""

    __slots__ = ("_accept_language", "_address", "_countries", "_query", "_user_agent", "_values")

    def __init__(
        self, *, user_agent: bytes, accept_language: bytes, address: str, query: bytes, countries: Countries
    ) -> None:
        self._user_agent = user_agent
        self._accept_language = accept_language
        self._address = address
        self._query = query
        self._countries = countries
        self._values: dict[bytes, bytes] | None = None

    @property
    def device(self) -> str:
        return describe_agent(self._user_agent[:MAX_USER_AGENT])[0]

    @property
    def os(self) -> str:
        return describe_agent(self._user_agent[:MAX_USER_AGENT])[1]

    @property
    def languages(self) -> frozenset[str]:
        return preferred_languages(self._accept_language[:MAX_ACCEPT_LANGUAGE])

    def country(self, now: int) -> str | None:
        return self._countries.of(self._address, now=now)

    def parameter(self, name: bytes) -> bytes | None:
        if self._values is None:
            self._values = first_values(self._query)
        return self._values.get(name)


@lru_cache(maxsize=8192)
def describe_agent(raw: bytes) -> tuple[str, str]:
    """(device, os) of a raw user agent, in the words of `When`."""
    from core.user_agents import describe  # here: see above

    found = describe(raw.decode("utf-8", "replace"))
    return found.device, _SYSTEMS.get(found.os, "other")


@lru_cache(maxsize=4096)
def preferred_languages(accept_language: bytes) -> frozenset[str]:
    """The language with the highest weight (RFC 9110 §12.5.4; the first of equals) and its prefixes; empty when none is stated."""
    best, tag = 0.0, ""
    for part in accept_language.decode("latin-1").lower().split(","):
        name, _, parameter = part.strip().partition(";")
        weight = _weight(parameter.strip())
        if weight > best and name.strip() not in ("", "*"):
            best, tag = weight, name.strip()
    return language_prefixes(tag)


def language_prefixes(tag: str) -> frozenset[str]:
    """``de-at`` as de-at and de."""
    parts = tag.lower().split("-")
    return frozenset("-".join(parts[:count]) for count in range(1, len(parts) + 1)) if tag else frozenset()


def _weight(parameter: str) -> float:
    """``q=0.8`` as 0.8; what is no number counts as not wanted."""
    if not parameter.startswith("q="):
        return 1.0
    try:
        return float(parameter[2:])
    except ValueError:
        return 0.0
