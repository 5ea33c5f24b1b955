"""What a request is answered with, as a pure function: request, links, time and randomness in, bytes and records out.

The hot path, in the order it happens:

1. look up the link by host and raw path,
2. read the query once,
3. decide consent, click ID and visitor ID,
4. choose the destination, where the link has more than one (`redirect.resolve`),
5. render the Location from the destination's normal form, the parameters passed on, and `ct_click`,
6. build the Click.

Nothing here reads a clock, a socket, a file or a database; `redirect.server` does, and writes the journal before any answer leaves.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import msgspec

from core.errors import Invalid
from core.rate_limit import RateLimit
from redirect import bots, canary_mark, clicks, events, params, previews, privacy, reasons
from redirect import request as fields
from redirect.country import Countries
from redirect.link_table import LinksUnavailable, LinkTable
from redirect.live_link import LiveLink
from redirect.pages import Pages
from redirect.plan import Decision, Plan, Target, ended, limited
from redirect.privacy import Networks
from redirect.rate_limit import HitLimit
from redirect.request import Request
from redirect.resolve import resolve
from redirect.signing import Signatures
from redirect.usage import Usage
from redirect.visitor import RequestVisitor

_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Bytes for the wire, the outcome to count, and the records (JSON) to journal before the bytes leave."""

    wire: bytes
    outcome: str
    records: tuple[bytes, ...] = ()
    #: A word of `reasons.PARAMETER_SIGNALS` to count besides the outcome, "" = none.
    signal: str = ""


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """`/ct.js` as it is served."""

    body: bytes
    etag: bytes


class World:
    """What the handler may look at besides the request. Replaced piece by piece by the worker, read-only here.

    `date` is the Date header's value, `health` renders the body of `/healthz` and says whether we are healthy.
    """

    __slots__ = (
        "cookie_domain", "countries", "date", "domains", "health", "hits", "limit", "links", "networks", "origins", "pages",
        "signatures", "snippet", "usage",
    )  # fmt: skip

    def __init__(
        self,
        *,
        links: LinkTable,
        networks: Networks,
        snippet: Snippet,
        health: Callable[[], tuple[int, bytes]],
        limit: RateLimit,
        domains: frozenset[bytes] = frozenset(),
        origins: frozenset[bytes] = frozenset(),
        cookie_domain: bytes = b"",
        countries: Countries | None = None,
        usage: Usage | None = None,
        signatures: Signatures | None = None,
        pages: Pages | None = None,
        hits: HitLimit | None = None,
    ) -> None:
        self.links = links
        self.networks = networks
        self.snippet = snippet
        self.health = health
        self.limit = limit
        #: Hosts we answer for; empty = any.
        self.domains = domains
        #: Hosts whose pages may send events; empty = any.
        self.origins = origins
        self.cookie_domain = cookie_domain
        self.countries = countries or Countries()
        #: Clicks of links that have a `max_clicks`.
        self.usage = usage or Usage()
        self.signatures = signatures or Signatures()
        self.pages = pages or Pages()
        self.hits = hits or HitLimit()
        self.date = b"Thu, 01 Jan 1970 00:00:00 GMT"


#: The first entry of the routing trace of a click that counts for `max_clicks`; one that went to the fallback does not.
_WITHIN_SCHEDULE: Final = f"schedule:{reasons.OPEN}"
VISITOR_MAX_AGE_S: Final = 365 * 86_400
_LASTING: Final = b"; Max-Age=%d" % VISITOR_MAX_AGE_S
_CLOSE: Final = b"Connection: close\r\n"
_METHODS: Final = b"GET, HEAD, POST, OPTIONS"
_ORIGIN: Final = re.compile(rb"https?://[a-z0-9.\[\]:-]{1,255}", re.IGNORECASE)

_STATUS_LINE: Final[dict[int, bytes]] = {
    200: b"HTTP/1.1 200 OK\r\nDate: ",
    204: b"HTTP/1.1 204 No Content\r\nDate: ",
    301: b"HTTP/1.1 301 Moved Permanently\r\nDate: ",
    302: b"HTTP/1.1 302 Found\r\nDate: ",
    304: b"HTTP/1.1 304 Not Modified\r\nDate: ",
    307: b"HTTP/1.1 307 Temporary Redirect\r\nDate: ",
    400: b"HTTP/1.1 400 Bad Request\r\nDate: ",
    403: b"HTTP/1.1 403 Forbidden\r\nDate: ",
    404: b"HTTP/1.1 404 Not Found\r\nDate: ",
    405: b"HTTP/1.1 405 Method Not Allowed\r\nDate: ",
    408: b"HTTP/1.1 408 Request Timeout\r\nDate: ",
    410: b"HTTP/1.1 410 Gone\r\nDate: ",
    413: b"HTTP/1.1 413 Content Too Large\r\nDate: ",
    414: b"HTTP/1.1 414 URI Too Long\r\nDate: ",
    429: b"HTTP/1.1 429 Too Many Requests\r\nDate: ",
    431: b"HTTP/1.1 431 Request Header Fields Too Large\r\nDate: ",
    500: b"HTTP/1.1 500 Internal Server Error\r\nDate: ",
    503: b"HTTP/1.1 503 Service Unavailable\r\nDate: ",
}
_TEXT: Final = (
    b"\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
)


def handle(
    request: Request,
    *,
    world: World,
    now: int,
    entropy: str,
    timer: Callable[[], float] = time.perf_counter,
) -> Answer:
    """Answer one request.

    Args:
        now: milliseconds since the epoch.
        entropy: `clicks.ENTROPY_CHARS` random hex digits, used up by this request.
        timer: monotonic seconds, on the same clock as `request.started`; only for the record's duration.
    """
    if request.fields[fields.CANARY]:
        return _canary(request, world=world, now=now, entropy=entropy, timer=timer)
    target, host = request.target, request.fields[fields.HOST]
    path, _, query = target.partition(b"?")
    try:
        link = world.links.find(host, path)
        if link is None or b"#" in target or (world.domains and host not in world.domains):
            return _handle_other(request, world=world, now=now, entropy=entropy, timer=timer)
    except LinksUnavailable:
        return _links_unavailable(request, world)
    return _hit(request, link, query, world=world, now=now, entropy=entropy, timer=timer)


def _hit(
    request: Request,
    link: LiveLink,
    query: bytes,
    *,
    world: World,
    now: int,
    entropy: str,
    timer: Callable[[], float],
) -> Answer:
    """A hit on a known link: a redirect with its click, or a lost click with its reason."""
    if world.hits.on and not world.hits.allows(request.address, now=now):
        return _over_limit(request, link, query, world=world, now=now, entropy=entropy, timer=timer)
    header = request.fields
    parameters = params.read(query, own=link.own, pass_personal=link.pass_personal) if query else params.NONE
    visit = clicks.Visit(request, link, parameters, entropy)
    decision, passed, signal = link.decision, parameters.passed, ""
    if link.plan is not None:
        decision = _route(request, link, link.plan, query, visit, world=world, now=now)
        if link.plan.signing is not None:
            decision, signal = world.signatures.check(decision, query, parameters.values, link.plan.signing, now=now)
        passed = params.without(passed, decision.target.own)
    target = decision.target
    # A browser says what its navigations are for, and no preview does: only the others are looked up.
    if (
        header[fields.PURPOSE]
        or request.method not in (b"GET", b"POST")
        or (not header[fields.SEC_FETCH_MODE] and previews.is_preview(header[fields.USER_AGENT]))
    ):
        return _uncounted(request, target, passed, world=world)
    if target.outcome == reasons.REDIRECTED:
        if link.plan is not None and link.plan.max_clicks and decision.trace[0] == _WITHIN_SCHEDULE:
            world.usage.count(link.link_id)
        wire = _redirect(request, target, passed, visit, world=world)
    else:
        wire = _page(request, target.outcome, status=target.status, world=world)
    click = clicks.encode(
        request,
        link,
        decision,
        parameters,
        visit,
        networks=world.networks,
        now=now,
        hit_id=entropy[64:80],
        duration_us=int((timer() - request.started) * 1e6),
    )
    return Answer(wire, target.outcome, (click,), signal)


def _over_limit(
    request: Request,
    link: LiveLink,
    query: bytes,
    *,
    world: World,
    now: int,
    entropy: str,
    timer: Callable[[], float],
) -> Answer:
    """A hit too many: 429, and a lost click as long as few of them are journaled."""
    wire = _page(request, reasons.RATE_LIMITED, status=429, world=world)
    counts = request.method in (b"GET", b"POST") and not request.fields[fields.PURPOSE]
    if not counts or not world.hits.journals(now=now):
        return Answer(wire, reasons.RATE_LIMITED)
    parameters = params.read(query, own=link.own, pass_personal=link.pass_personal) if query else params.NONE
    click = clicks.encode(
        request,
        link,
        ended(limited(link.decision.target)),
        parameters,
        clicks.Visit(request, link, parameters, entropy),
        networks=world.networks,
        now=now,
        hit_id=entropy[64:80],
        duration_us=int((timer() - request.started) * 1e6),
    )
    return Answer(wire, reasons.RATE_LIMITED, (click,))


def _page(request: Request, outcome: str, *, status: int, world: World) -> bytes:
    """What a person reads where no link leads on (`redirect.pages`)."""
    headers, body = world.pages.of(outcome, request.fields[fields.ACCEPT])
    close = b"" if request.keep_alive else _CLOSE
    shown = b"" if request.method == b"HEAD" else body
    return b"".join((_STATUS_LINE[status], world.date, b"\r\n", headers, close, b"\r\n", shown))


def _route(
    request: Request, link: LiveLink, plan: Plan, query: bytes, visit: clicks.Visit, *, world: World, now: int
) -> Decision:
    """The way of a hit on a link with a schedule, rules or variants."""
    header = request.fields
    visitor = RequestVisitor(
        user_agent=header[fields.USER_AGENT],
        accept_language=header[fields.ACCEPT_LANGUAGE],
        address=request.address,
        query=query,
        countries=world.countries,
    )
    exhausted = plan.max_clicks > 0 and world.usage.exhausted(link.link_id, plan.max_clicks)
    return resolve(plan, visitor, now=now, key=visit.visitor_id or visit.click_id, exhausted=exhausted)


def _redirect(request: Request, target: Target, passed: bytes, visit: clicks.Visit, *, world: World) -> bytes:
    """The redirect: destination, then what is passed on, then our click ID.

    Whatever its status, it is never stored: a 301 from a browser's cache would be a click that nobody counts.
    """
    return b"".join((
        _STATUS_LINE[target.status],
        world.date,
        b"\r\nContent-Length: 0\r\nCache-Control: no-store\r\n",
        b"" if request.keep_alive else _CLOSE,
        _visitor_cookie(visit.visitor_id, request, world) if visit.new_visitor or visit.forgets else b"",
        b"Location: ",
        target.location,
        passed,
        b"&ct_click=" if passed else b"ct_click=",
        visit.click_id.encode(),
        target.tail,
        b"\r\n\r\n",
    ))  # fmt: skip


def _visitor_cookie(visitor_id: str, request: Request, world: World) -> bytes:
    """A year's cookie; without an ID, the end of the one that a visitor brought who refuses it now."""
    return b"".join((
        b"Set-Cookie: ct_vid=",
        visitor_id.encode(),
        _LASTING if visitor_id else b"; Max-Age=0",
        b"; Path=/; HttpOnly; SameSite=Lax; Domain=" if world.cookie_domain else b"; Path=/; HttpOnly; SameSite=Lax",
        world.cookie_domain,
        b"; Secure\r\n" if request.secure else b"\r\n",
    ))  # fmt: skip


def _uncounted(request: Request, target: Target, passed: bytes, *, world: World) -> Answer:
    """Requests that are no clicks: HEAD, prefetch, link previews, and methods a link does not have."""
    date, keep = world.date, request.keep_alive
    if request.method not in (b"GET", b"POST", b"HEAD"):
        return _not_allowed(request, world)
    if request.fields[fields.PURPOSE] and request.method != b"HEAD":
        # A prefetched redirect would be used for the real click without asking us again: refusing it makes the browser come back.
        return Answer(plain(503, b"", date=date, keep_alive=keep), reasons.PREFETCH)
    # The way a visitor would go, so that a preview shows the page; without a click ID and a cookie, because nobody clicked.
    outcome = reasons.HEAD if request.method == b"HEAD" else reasons.LINK_PREVIEW
    if target.outcome != reasons.REDIRECTED:
        return Answer(_page(request, target.outcome, status=target.status, world=world), outcome)
    location = (target.location + passed).rstrip(b"?&") + target.tail
    extra = b"Location: " + location + b"\r\n"
    return Answer(plain(target.status, b"", date=date, keep_alive=keep, extra=extra), outcome)


def _canary(request: Request, *, world: World, now: int, entropy: str, timer: Callable[[], float]) -> Answer:
    """Our own click or touch: answered like anybody's, journaled as a kind of its own (`redirect.canary_mark`)."""
    if not canary_mark.is_valid(request.fields[fields.CANARY], world.networks, now=now):
        return _refuse(
            request, world, status=403, outcome=reasons.CANARY_REFUSED, detail="this mark is not ours, or old"
        )
    request.fields[fields.CANARY] = b""
    answer = handle(request, world=world, now=now, entropy=entropy, timer=timer)
    if not answer.records:
        return answer
    records = tuple(canary_mark.as_canary(record) for record in answer.records)
    return msgspec.structs.replace(answer, outcome=reasons.CANARY, records=records)


# --- everything that is not a hit by its usual spelling ------------------------------------------------------------------------


def _handle_other(request: Request, *, world: World, now: int, entropy: str, timer: Callable[[], float]) -> Answer:
    target, host = _origin_form(request.target, request.fields[fields.HOST])
    path, _, query = target.partition(b"?")
    if path == b"/healthz":
        status, body = world.health()
        extra = b"Content-Type: application/json\r\n"
        return _respond(request, world, status=status, body=body, outcome=reasons.HEALTH, headers=extra)
    if path == b"/ct.js":
        return _snippet(request, world)
    if path == b"/ct/e":
        return _events(request, world, now=now)
    if world.domains and host.lower().partition(b":")[0] not in world.domains:
        return _not_found(request, world, reasons.UNKNOWN_DOMAIN, now=now)
    link = world.links.find(host, path) or world.links.find_unusual(host, path)
    if link is None:
        return _not_found(request, world, reasons.UNKNOWN_SLUG, now=now)
    return _hit(request, link, query, world=world, now=now, entropy=entropy, timer=timer)


def _origin_form(target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """(origin-form target without fragment, host): an absolute target (RFC 9112 §3.2.2) overrides the Host header."""
    target = target.partition(b"#")[0]
    if target.startswith(b"/"):
        return target, host
    _, separator, rest = target.partition(b"://")
    if not separator:
        return target, host
    authority, _, path = rest.partition(b"/")
    return b"/" + path, authority


def _not_found(request: Request, world: World, outcome: str, *, now: int) -> Answer:
    if world.hits.on and not world.hits.allows(request.address, now=now):
        outcome = reasons.RATE_LIMITED  # whoever tries out slugs
    status = 429 if outcome == reasons.RATE_LIMITED else 404
    return Answer(_page(request, outcome, status=status, world=world), outcome)


def _links_unavailable(request: Request, world: World) -> Answer:
    """The link is not in memory and the database does not answer. Nobody knows whether there is such a link: not 404."""
    extra, body = b"Retry-After: 1\r\n", b"Links cannot be read for the moment.\n"
    wire = plain(503, body, date=world.date, keep_alive=request.keep_alive, extra=extra)
    return Answer(wire, reasons.LINKS_UNAVAILABLE)


def _not_allowed(request: Request, world: World) -> Answer:
    extra = b"Allow: " + _METHODS + b"\r\n"
    body = b"Method not allowed.\n"
    wire = plain(405, body, date=world.date, keep_alive=request.keep_alive, extra=extra)
    return Answer(wire, reasons.METHOD_NOT_ALLOWED)


def _snippet(request: Request, world: World) -> Answer:
    if request.method not in (b"GET", b"HEAD"):
        return _not_allowed(request, world)
    snippet = world.snippet
    headers = b"ETag: " + snippet.etag + b"\r\nCache-Control: public, max-age=3600\r\n"
    if snippet.etag in request.fields[fields.IF_NONE_MATCH]:
        return _respond(request, world, status=304, body=b"", outcome=reasons.SNIPPET, headers=headers)
    headers += b"Content-Type: text/javascript; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    # Pages that isolate themselves (COEP: require-corp) load only what says it may be loaded from elsewhere.
    headers += b"Cross-Origin-Resource-Policy: cross-origin\r\n"
    return _respond(request, world, status=200, body=snippet.body, outcome=reasons.SNIPPET, headers=headers)


def _events(request: Request, world: World, *, now: int) -> Answer:
    """Browser events: simple CORS requests, answered with 204 or a named refusal."""
    origin = request.fields[fields.ORIGIN]
    if world.origins and origin and _origin_host(origin) not in world.origins:
        return _refuse(request, world, status=403, outcome=reasons.EVENTS_FOREIGN_ORIGIN, detail="unknown site")
    cors = _cors(origin)
    if request.method == b"OPTIONS":
        extra = b"Access-Control-Allow-Methods: POST\r\nAccess-Control-Allow-Headers: content-type\r\nAccess-Control-Max-Age: 86400\r\n"
        return _respond(request, world, status=204, body=b"", outcome=reasons.PREFLIGHT, headers=cors + extra)
    if request.method != b"POST":
        return _not_allowed(request, world)
    if not world.limit.allows(request.address, now=now):
        return _refuse(
            request, world, status=429, outcome=reasons.EVENTS_RATE_LIMITED, detail="slow down", headers=cors
        )
    cookie = request.fields[fields.COOKIE]
    consent = privacy.decide_consent(gpc=request.fields[fields.SEC_GPC], parameter=b"", cookie=cookie)
    try:
        touches = events.parse(
            request.body,
            now=now,
            visitor_id=privacy.visitor_from_cookie(cookie),
            user_agent=request.fields[fields.USER_AGENT][: bots.MAX_USER_AGENT].decode("utf-8", "replace"),
            private=privacy.refused(consent),
        )
    except Invalid as error:
        return _refuse(request, world, status=error.status, outcome=error.reason, detail=error.detail, headers=cors)
    answer = _respond(request, world, status=204, body=b"", outcome=reasons.EVENTS, headers=cors)
    return msgspec.structs.replace(answer, records=tuple(_encode(touch) for touch in touches))


def _origin_host(origin: bytes) -> bytes:
    return origin.partition(b"://")[2].lower()


def _cors(origin: bytes) -> bytes:
    """sendBeacon sends cookies, so the origin must be named and credentials allowed."""
    if not _ORIGIN.fullmatch(origin):
        return b""
    return b"Access-Control-Allow-Origin: " + origin + b"\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"


def _refuse(request: Request, world: World, *, status: int, outcome: str, detail: str, headers: bytes = b"") -> Answer:
    body = msgspec.json.encode({"reason": outcome, "detail": detail}) + b"\n"
    headers += b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    return _respond(request, world, status=status, body=body, outcome=outcome, headers=headers)


def _respond(request: Request, world: World, *, status: int, body: bytes, outcome: str, headers: bytes = b"") -> Answer:
    """Any other answer; HEAD gets the headers only."""
    if not headers:
        headers = (
            b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
        )
    length = b"" if status in (204, 304) else b"Content-Length: %d\r\n" % len(body)
    close = b"" if request.keep_alive else _CLOSE
    shown = b"" if request.method == b"HEAD" else body
    wire = b"".join((_STATUS_LINE[status], world.date, b"\r\n", length, close, headers, b"\r\n", shown))
    return Answer(wire, outcome)


def plain(status: int, body: bytes, *, date: bytes, keep_alive: bool, extra: bytes = b"") -> bytes:
    """A short text answer; also what the server sends when there is no request to speak of."""
    close = b"" if keep_alive else _CLOSE
    return b"".join(
        (_STATUS_LINE[status], date, _TEXT, b"Content-Length: %d\r\n" % len(body), close, extra, b"\r\n", body)
    )
