"""What rules that watch destinations look at: the newest check of every URL, by host, and what people are told of it.

One host is one subject: when a shop is down, its hundred pages are one alert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from alerts.rules.facts import Facts
from core.clock import DAY_MS
from core.money import to_decimal

#: Checks are known for longer than they hold: three intervals of at most eight hours.
HORIZON_MS = DAY_MS
_MARK = "@"
_MAX_SUBJECT = 255
_PAGES_TOLD = 5
_NAMES_TOLD = 5
#: Worst first, and how a number of pages in that state is said.
_STATES = {"failing": "not working", "changed": "changed", "care": "in need of care"}

# A check claimed by an import is history, not news.
_CHECKS = """
SELECT
    host,
    url,
    argMax(state, (ts, o)) AS state,
    argMax(findings, (ts, o)) AS findings,
    argMax(details, (ts, o)) AS details,
    argMax(links, (ts, o)) AS links,
    argMax(campaigns, (ts, o)) AS campaigns,
    argMax(clients, (ts, o)) AS clients,
    argMax(holds_until, (ts, o)) AS holds
FROM check
WHERE NOT claimed AND known_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
GROUP BY host, url, source
HAVING holds >= fromUnixTimestamp64Milli({now:Int64}, 'UTC') AND state != 'unused'
ORDER BY host, url, source
"""


class Reader(Protocol):
    """The store's reading side."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A URL as it was seen last."""

    url: str
    state: str
    findings: list[str] = []
    details: list[str] = []
    links: list[str] = []
    campaigns: list[str] = []
    clients: list[str] = []


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """All URLs of one host that links lead to."""

    host: str
    pages: tuple[Page, ...] = ()

    @property
    def facts(self) -> Facts:
        states = [page.state for page in self.pages]
        return {
            "destination.watched": float(len(states)),
            **{f"destination.{state}": float(states.count(state)) for state in _STATES},
        }

    @property
    def concerned(self) -> list[Page]:
        """Pages with findings, the worst first."""
        order = list(_STATES)
        return sorted((page for page in self.pages if page.state in order), key=lambda page: order.index(page.state))


def read_destinations(store: Reader, *, now: int) -> dict[str, HostView]:
    """By subject, every host whose checks still hold. A page that the watch and a synthetic check look at is one page."""
    pages: dict[str, dict[str, Page]] = {}
    for row in store.rows(_CHECKS, {"since": now - HORIZON_MS, "now": now}):
        page, found = _page(row), pages.setdefault(str(row["host"]), {})
        found[page.url] = both(found[page.url], page) if page.url in found else page
    return {subject_of(host): HostView(host=host, pages=tuple(found.values())) for host, found in pages.items()}


def both(one: Page, other: Page) -> Page:
    """What two looked at, as one page: in the worse state, with what either found."""
    states = [*_STATES, "ok"]
    first, second = sorted((one, other), key=lambda page: states.index(page.state))
    return Page(
        url=one.url,
        state=first.state,
        **{
            name: list(dict.fromkeys([*getattr(first, name), *getattr(second, name)]))
            for name in ("findings", "details", "links", "campaigns", "clients")
        },
    )


def subject_of(host: str) -> str:
    return f"{_MARK}{host}"[:_MAX_SUBJECT]


def is_destination(subject: str) -> bool:
    """Whether a rule's subject is a host; incidents have hexadecimal names."""
    return subject.startswith(_MARK)


def host_of(subject: str) -> str:
    return subject.removeprefix(_MARK)


def summary(view: HostView) -> str:
    """``shop.example: 2 of 14 pages not working, 1 changed``."""
    counts = [(int(view.facts[f"destination.{state}"] or 0), words) for state, words in _STATES.items()]
    said = [f"{count} {words}" for count, words in counts if count]
    if not said:
        return f"{view.host}: every page is as expected"
    first, *others = said
    number, _, words = first.partition(" ")
    return ", ".join([f"{view.host}: {number} of {len(view.pages)} pages {words}", *others])


def description(view: HostView, *, spend_micros_per_hour: Mapping[str, float]) -> str:
    """One paragraph a page, then the money that leads there, by currency."""
    concerned = view.concerned
    parts = [_told(page) for page in concerned[:_PAGES_TOLD]]
    if len(concerned) > _PAGES_TOLD:
        parts.append(f"And {len(concerned) - _PAGES_TOLD} more: clicktrace links check lists them.")
    if spend_micros_per_hour:
        spent = " and ".join(
            f"{to_decimal(round(micros))} {currency}".strip()
            for currency, micros in sorted(spend_micros_per_hour.items())
        )
        parts.append(f"Campaigns whose links lead there spend about {spent} an hour now.")
    if concerned and all(page.state != "failing" for page in concerned):
        parts.append("If it is meant so: clicktrace links check SLUG --accept.")
    return "\n".join(parts) or "Every page is as expected again."


def campaigns(view: HostView) -> set[str]:
    """Campaigns whose links lead to pages with findings."""
    return {campaign for page in view.concerned for campaign in page.campaigns}


def client(view: HostView) -> str:
    """The client whose links lead there, "" when there are several or none."""
    found = {each for page in view.pages for each in page.clients}
    return found.pop() if len(found) == 1 else ""


def digest_parts(view: HostView) -> list[str]:
    """What makes an alert news: another page, or another finding."""
    return [f"{page.url}:{','.join(page.findings)}" for page in view.concerned]


def _told(page: Page) -> str:
    text = f"{page.url}: {' '.join(page.details)} Links: {_listed(page.links)}."
    return f"{text} Campaigns: {_listed(page.campaigns)}." if page.campaigns else text


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
    return ", ".join(names[:_NAMES_TOLD]) + more


def _page(row: Mapping[str, Any]) -> Page:
    lists = ("findings", "details", "links", "campaigns", "clients")
    return Page(
        url=str(row["url"]),
        state=str(row["state"]),
        **{name: [str(each) for each in row[name]] for name in lists},
    )
