"""One look at a destination, as a visitor who clicked: `core.visits.visit` with a click ID on its way."""

from __future__ import annotations

import html
import re
import ssl
from typing import Final

from core.visits.guard import Guard
from core.visits.visit import USER_AGENT, HeadersFor, PageVisitor, Visit
from redirect.watch.check import Observation

__all__ = ["CLICK_PARAMETER", "USER_AGENT", "Visitor", "title_of", "with_click", "without_click"]

CLICK_PARAMETER: Final = "ct_click"
MAX_TITLE: Final = 200
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


class Visitor:
    """Looks at destinations; `core.visits.visit.PageVisitor` says what its options mean."""

    def __init__(
        self,
        guard: Guard,
        *,
        timeout_s: float,
        max_hops: int,
        tls: ssl.SSLContext | None = None,
        headers_for: HeadersFor = lambda _destination: {},
    ) -> None:
        self._pages = PageVisitor(guard, timeout_s=timeout_s, max_hops=max_hops, tls=tls, headers_for=headers_for)

    async def look(self, url: str, *, click_id: str) -> Observation:
        """Visit a destination as a click with this ID would."""
        visit = await self._pages.visit(with_click(url, click_id), enough=_has_title)
        return _observed(visit, url=url, click_id=click_id)


def _observed(visit: Visit, *, url: str, click_id: str) -> Observation:
    return Observation(
        url=url,
        statuses=visit.statuses,
        final_url=without_click(visit.final_url),
        ttfb_ms=visit.ttfb_ms,
        certificate_expires=visit.certificate_expires,
        click_id_survived=f"{CLICK_PARAMETER}={click_id}" in _pairs(visit.final_url),
        https_left=visit.https_left,
        title=title_of(visit.body),
        failure=visit.failure,
        detail=visit.detail,
    )


def with_click(url: str, click_id: str) -> str:
    """A destination as the redirect sends a visitor there, the fragment left out."""
    head = url.partition("#")[0]
    return f"{head}{'&' if '?' in head else '?'}{CLICK_PARAMETER}={click_id}"


def without_click(url: str) -> str:
    """The URL without `ct_click`."""
    head = url.partition("?")[0]
    kept = [pair for pair in _pairs(url) if pair.partition("=")[0] != CLICK_PARAMETER]
    return f"{head}?{'&'.join(kept)}" if kept else head


def title_of(body: bytes) -> str:
    """The page's title, on one line."""
    found = _TITLE.search(body.decode("utf-8", "replace"))
    return " ".join(html.unescape(found[1]).split())[:MAX_TITLE] if found else ""


def _has_title(body: bytes) -> bool:
    return b"</title" in body.lower()


def _pairs(url: str) -> list[str]:
    return [pair for pair in url.partition("?")[2].split("&") if pair]
