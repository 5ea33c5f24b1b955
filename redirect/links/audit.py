"""What is risky about the links there are: a pure function from links, settings and use to findings with a word from a closed list."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import idna
import msgspec

from core.clock import DAY_MS, parse_rfc3339
from core.destinations import AllowList, Destination, is_private, normalise
from core.errors import Invalid
from redirect.links.model import Link, LinkDefinition, every_destination
from redirect.links.templates import MACROS, tracking_template

Severity = Literal["high", "medium", "low"]

#: Word -> (severity, what it means and what to do).
RISKS: Final[dict[str, tuple[Severity, str]]] = {
    "destination_not_allowed": ("high", "The allow-list does not contain it: hits are lost clicks."),
    "destination_loop": ("high", "It leads to the redirect itself: hits are lost clicks."),
    "domain_not_served": ("high", "redirect.domains does not name its domain: nobody can open it."),
    "disabled_but_hit": ("high", "It is switched off and was hit in the last week: somebody still pays for it."),
    "shared_host": ("high", "Anybody can publish on this host: allow one site of it, not all."),
    "mixed_scripts": ("high", "The host mixes alphabets, as look-alikes of known names do."),
    "another_redirect": ("medium", "A known redirect or tracker: one more hop that can lead anywhere."),
    "signs_into_wildcard": (
        "medium",
        "Signed destinations, and the allow-list has a wildcard: a key opens all below it.",
    ),
    "destination_private": ("medium", "A private address, reachable for some only."),
    "plain_http": ("medium", "No HTTPS: anybody on the way can read and change the visit."),
    "nested_url": ("medium", "A parameter holds a URL: the destination may redirect to anywhere."),
    "passes_personal": ("medium", "Passes e-mail, phone and name on: they end in the shop's logs."),
    "over_without_fallback": ("medium", "Its time is over and it has no fallback: hits are lost clicks."),
    "wildcard_destination": ("low", "Allowed only by a wildcard entry, which allows every host below it."),
    "starts_without_end": ("low", "It has a beginning and no end: campaigns do end."),
    "no_template": ("low", "Its platform's account is unknown: no tracking template, clicks without campaign IDs."),
    "google_without_parallel": ("low", "Google calls redirects in the background; the link does not say so."),
    "no_client": ("low", "Other links have a client, this one belongs to nobody."),
    "duplicate": ("low", "Another link of the same campaign leads to the same places."),
    "unused": ("low", "Not one hit in 90 days."),
}
SEVERITIES: Final[tuple[Severity, ...]] = ("high", "medium", "low")
#: What can only be told with the store.
NEED_USE: Final = ("disabled_but_hit", "unused")
UNUSED_MS: Final = 90 * DAY_MS
RECENTLY_MS: Final = 7 * DAY_MS
#: Hosts below which anybody gets a site for nothing, or a place in a bucket.
_SHARED: Final = frozenset(
    [
        "github.io",
        "gitlab.io",
        "netlify.app",
        "vercel.app",
        "herokuapp.com",
        "web.app",
        "firebaseapp.com",
        "pages.dev",
        "workers.dev",
        "blogspot.com",
        "wordpress.com",
        "tumblr.com",
        "weebly.com",
        "wixsite.com",
        "webflow.io",
        "myshopify.com",
        "notion.site",
        "azurewebsites.net",
        "azureedge.net",
        "cloudfront.net",
        "amazonaws.com",
        "storage.googleapis.com",
        "appspot.com",
        "run.app",
        "docs.google.com",
        "sites.google.com",
        "drive.google.com",
        "forms.gle",
        "dropbox.com",
        "onrender.com",
        "fly.dev",
        "glitch.me",
        "surge.sh",
        "repl.co",
        "ngrok.io",
        "ngrok.app",
        "trycloudflare.com",
    ]
)
_REDIRECTS: Final = frozenset(
    [
        "bit.ly",
        "t.co",
        "goo.gl",
        "tinyurl.com",
        "ow.ly",
        "buff.ly",
        "is.gd",
        "v.gd",
        "rb.gy",
        "cutt.ly",
        "lnkd.in",
        "dub.sh",
        "short.io",
        "rebrand.ly",
        "t.ly",
        "page.link",
        "app.link",
        "onelink.me",
        "adj.st",
        "doubleclick.net",
        "googleadservices.com",
        "l.facebook.com",
        "lm.facebook.com",
        "awin1.com",
        "anrdoezrs.net",
        "dpbolvw.net",
        "jdoqocy.com",
        "tkqlhce.com",
        "linksynergy.com",
        "shareasale.com",
        "go2cloud.org",
        "voluumtrk.com",
    ]
)


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Hits of one link, as the store has them."""

    last_90_days: int
    #: Answered `disabled` in the last week.
    disabled_last_week: int = 0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One risk of one link; `detail` names the place where there are several."""

    link_id: str
    slug: str
    domain: str
    client: str
    risk: str
    severity: Severity
    detail: str = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a link is judged against; an empty `domains` answers on every one."""

    allowed: AllowList
    base_url: str
    domains: frozenset[str] = frozenset()


def audit(
    links: Iterable[Link], *, settings: Settings, now: int, use: Mapping[str, Use] | None = None
) -> Iterator[Finding]:
    """Every risk of every link, link by link; which of them is worst, the severity says.

    Args:
        now: milliseconds since the epoch.
        use: by link ID; None = the store does not say, and `NEED_USE` are left out.
    """
    links = tuple(links)
    clients = any(link.definition.client for link in links)
    twins = Counter(_twin(link.definition) for link in links if not link.definition.disabled)
    for link in links:
        definition = link.definition
        found = [*_use_risks(link, use, now=now)]
        if not definition.disabled:
            found += _places(definition, settings.allowed)
            found += _definition_risks(definition, settings, now=now)
            found += [("no_client", "")] if clients and not definition.client else []
            found += [("duplicate", "")] if twins[_twin(definition)] > 1 else []
        for risk, detail in dict.fromkeys(found):
            yield _finding(link, risk, detail)


def _finding(link: Link, risk: str, detail: str) -> Finding:
    definition = link.definition
    return Finding(
        link_id=link.link_id,
        slug=definition.slug,
        domain=definition.domain,
        client=definition.client,
        risk=risk,
        severity=RISKS[risk][0],
        detail=detail,
    )


def _twin(definition: LinkDefinition) -> tuple[object, ...]:
    """Equal for links that do the same for the same campaign. Without a campaign, links are told apart by what people print them on."""
    if not definition.campaign:
        return (definition.slug, definition.domain)
    ids = (definition.campaign, definition.ad_group, definition.creative)
    return (*ids, definition.domain, definition.rules, *every_destination(definition))


def _use_risks(link: Link, use: Mapping[str, Use] | None, *, now: int) -> Iterator[tuple[str, str]]:
    if use is None:
        return
    seen = use.get(link.link_id, Use(last_90_days=0))
    if link.definition.disabled:
        if seen.disabled_last_week:
            yield "disabled_but_hit", f"{seen.disabled_last_week} hits"
    elif not seen.last_90_days and now - link.updated_at > UNUSED_MS:
        yield "unused", ""


# --- the places a link names ---------------------------------------------------------------------------------------------------


def _places(definition: LinkDefinition, allowed: AllowList) -> Iterator[tuple[str, str]]:
    for url in dict.fromkeys(every_destination(definition)):
        for risk in _place_risks(url, allowed):
            yield risk, url


def _place_risks(url: str, allowed: AllowList) -> Iterator[str]:
    try:
        place = normalise(url)
    except Invalid:
        yield "destination_not_allowed"
        return
    refusal = allowed.refusal(place)
    if refusal is not None:
        yield "destination_loop" if refusal == "destination_loop" else "destination_not_allowed"
    yield from (risk for risk, holds in _PLACE_CHECKS.items() if holds(place))
    if refusal is None and allowed.by_wildcard(place):
        yield "wildcard_destination"


def _below(host: str, names: frozenset[str]) -> bool:
    labels = host.split(".")
    return any(".".join(labels[start:]) in names for start in range(len(labels)))


def _mixed_scripts(place: Destination) -> bool:
    """True for a label of letters from several alphabets; Japanese and Korean names mix theirs with Han and Latin by right."""
    return any(len(_scripts(label)) > 1 for label in place.host.split(".") if label.startswith("xn--"))


def _scripts(label: str) -> set[str]:
    try:
        letters = [letter for letter in idna.ulabel(label) if letter.isalpha()]
    except UnicodeError:
        return set()
    scripts = {unicodedata.name(letter, "?").split(" ")[0] for letter in letters}
    return scripts if scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"} else set()


def _nested_url(place: Destination) -> bool:
    values = (unquote(pair.partition("=")[2]).lower() for pair in place.query.split("&"))
    return any(value.startswith(("http://", "https://", "//", "/\\")) for value in values)


_PLACE_CHECKS: Final[dict[str, Callable[[Destination], bool]]] = {
    "destination_private": lambda place: is_private(place.host),
    "plain_http": lambda place: place.scheme == "http" and not is_private(place.host),
    "shared_host": lambda place: _below(place.host, _SHARED),
    "another_redirect": lambda place: _below(place.host, _REDIRECTS),
    "mixed_scripts": _mixed_scripts,
    "nested_url": _nested_url,
}


# --- the rest of a definition --------------------------------------------------------------------------------------------------


def _definition_risks(definition: LinkDefinition, settings: Settings, *, now: int) -> Iterator[tuple[str, str]]:
    host = urlsplit(f"//{definition.domain}").hostname or ""
    if definition.domain and settings.domains and not {host, definition.domain} & settings.domains:
        yield "domain_not_served", definition.domain
    if definition.sign == "destination" and settings.allowed.has_wildcard:
        yield "signs_into_wildcard", ""
    if definition.pass_personal:
        yield "passes_personal", ""
    if definition.expires and parse_rfc3339(definition.expires) <= now and not definition.fallback:
        yield "over_without_fallback", definition.expires
    if definition.starts and not (definition.expires or definition.max_clicks):
        yield "starts_without_end", ""
    if definition.platform in MACROS and not tracking_template(definition, base_url=settings.base_url):
        yield "no_template", definition.platform
    if definition.platform == "google" and not definition.parallel_tracking:
        yield "google_without_parallel", ""
