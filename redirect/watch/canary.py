"""Canary clicks: our own click on each link, followed until it and its touch are in the store.

One round, in the order it happens:

1. choose links: those whose last canary was lost, then the next ones by slug, in turn,
2. click: GET the short link with the mark of a canary, take `ct_click` from its Location,
3. touch: POST a page view with that click ID to `/ct/e`, as the snippet on the page would,
4. wait until the store has both, at most `canary_timeout_s`,
5. once more for whatever was lost: a restart of a worker is no loss.

The destination itself is not visited: that is the prober's part (`redirect.watch.prober`).

| outcome | what became of it |
| --- | --- |
| `reached` | click and touch are in the store |
| `not_answered` | the redirect did not answer |
| `not_redirected` | it answered without a redirect that carries `ct_click` |
| `touch_refused` | `/ct/e` did not take the touch |
| `click_missing` | the click did not reach the store in time |
| `touch_missing` | the touch did not |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event
from typing import Final, Literal, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import structlog
from sqlalchemy import Engine, select, tuple_

from core.clock import MINUTE_MS, Clock, now_ms, parse_rfc3339
from core.control.tables import links
from core.errors import StoreError
from core.identity import is_click_id
from redirect.canary_mark import HEADER, mark
from redirect.links.model import Link, LinkDefinition
from redirect.links.store import to_link
from redirect.privacy import Networks
from redirect.salts import Salts
from redirect.watch import metrics
from redirect.watch.config import WatchConfig
from redirect.watch.targets import link_name
from redirect.watch.visit import CLICK_PARAMETER, USER_AGENT

log = structlog.get_logger(__name__)

Outcome = Literal["reached", "not_answered", "not_redirected", "touch_refused", "click_missing", "touch_missing"]
REQUEST_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.25
#: Canaries of a round follow each other at this pace: they are visitors, not a load test.
_PACE_S: Final = 0.02
_FOUND: Final = """
SELECT lower(hex(click_id)) AS id, groupUniqArray(step) AS steps
FROM canary
WHERE ts >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND has({ids:Array(String)}, lower(hex(click_id)))
GROUP BY click_id
"""


class Reader(Protocol):
    """The store's reading side."""

    def rows(self, sql: str, params: Mapping[str, object] | None = None) -> list[dict[str, object]]: ...


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One canary on its way; `outcome` is set when it got no further than the redirect."""

    link_id: str
    at: float  # monotonic seconds
    click_id: str = ""
    outcome: Outcome | None = None


#: Where canaries enter: base URL, or "" when there is no redirect to send them to.
Entrance = Callable[[], str]


class Canaries:
    """Sends canaries and waits for them. `tick` runs in one thread.

    Args:
        host: Host header of links that have no domain of their own; "" = the entrance's.
        pause: waits so many seconds; True = stop now.
    """

    def __init__(
        self,
        engine: Engine,
        store: Reader,
        *,
        entrance: Entrance,
        config: WatchConfig,
        host: str = "",
        clock: Clock = now_ms,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        self.lost: dict[str, Outcome] = {}
        self._engine = engine
        self._store = store
        self._entrance = entrance
        self._config = config
        self._host = host
        self._clock = clock
        self._salts = Salts(engine)
        self._after = ("", "")
        self._stopping = Event()
        self._pause = pause or self._stopping.wait

    def stop(self) -> None:
        """End a round under way; may be called twice."""
        self._stopping.set()

    def tick(self, now: int) -> None:
        """One round; nothing where there is no redirect."""
        base = self._entrance()
        chosen = self._choose(now) if base else []
        if not chosen:
            self._note({}, ended=now)
            return
        outcomes = self._send_and_wait(base, chosen, now=now)
        again = [link for link in chosen if outcomes.get(link.link_id, "reached") != "reached"]
        if again and not self._stopping.is_set():
            outcomes |= self._send_and_wait(base, again, now=self._clock())
        if not self._stopping.is_set():
            self._note(outcomes, ended=self._clock())
            self._tell(chosen)

    def _note(self, outcomes: dict[str, Outcome], *, ended: int) -> None:
        for outcome in outcomes.values():
            metrics.CANARIES.labels(outcome).inc()
        self.lost = {link_id: outcome for link_id, outcome in outcomes.items() if outcome != "reached"}
        metrics.CANARY_LOST.set(len(self.lost))
        metrics.CANARY_ROUND.set(ended / 1000)

    def _tell(self, chosen: Iterable[Link]) -> None:
        for link in chosen:
            if link.link_id in self.lost:
                log.warning("canary lost", link=link_name(link.definition), outcome=self.lost[link.link_id])

    # --- choose ------------------------------------------------------------------------------------------------------------------
    def _choose(self, now: int) -> list[Link]:
        """Links that are lost, then the next ones in turn."""
        with self._engine.connect() as connection:
            query = select(links).where(links.c.disabled.is_(False))
            lost = connection.execute(query.where(links.c.link_id.in_(self.lost))).all() if self.lost else []
            ordered = query.order_by(links.c.slug, links.c.domain).limit(self._config.canary_links)
            following = connection.execute(
                ordered.where(tuple_(links.c.slug, links.c.domain) > tuple_(*self._after))
            ).all()
            if len(following) < self._config.canary_links:
                following = [*following, *connection.execute(ordered).all()]
        found = {row.link_id: to_link(row) for row in [*lost, *following][: self._config.canary_links]}
        if following:
            last = following[min(self._config.canary_links, len(following)) - 1]
            self._after = (last.slug, last.domain)
        return [link for link in found.values() if may_carry(link.definition, now=now)]

    # --- send --------------------------------------------------------------------------------------------------------------------
    def _send_and_wait(self, base: str, chosen: Sequence[Link], *, now: int) -> dict[str, Outcome]:
        local = urlsplit(base).hostname in ("127.0.0.1", "::1")
        # On loopback no certificate can name the address; what goes there does not leave this machine.
        with httpx.Client(base_url=base, verify=not local, trust_env=False, timeout=REQUEST_TIMEOUT_S) as client:
            sent = []
            for link in chosen:
                sent.append(self._send(client, link))
                if self._pause(_PACE_S):
                    break
        outcomes = {each.link_id: each.outcome for each in sent if each.outcome is not None}
        return outcomes | self._wait([each for each in sent if each.outcome is None], since=now - MINUTE_MS)

    def _send(self, client: httpx.Client, link: Link) -> Sent:
        started = time.monotonic()

        def ended(outcome: Outcome | None, click_id: str = "") -> Sent:
            return Sent(link_id=link.link_id, at=started, click_id=click_id, outcome=outcome)

        headers = self._headers(link.definition)
        try:
            hit = client.get(f"/{link.definition.slug}", headers=headers)
            click_id = parse_qs(urlsplit(hit.headers.get("location", "")).query).get(CLICK_PARAMETER, [""])[-1]
            if not hit.is_redirect or not is_click_id(click_id):
                return ended("not_redirected")
            body = msgspec.json.encode({"click": click_id, "events": [{"name": "page_view"}]})
            touch = client.post("/ct/e", content=body, headers=headers)
        except httpx.HTTPError as error:
            log.info("canary not answered", link=link_name(link.definition), error=str(error))
            return ended("not_answered")
        return ended(None if touch.status_code == 204 else "touch_refused", click_id)

    def _headers(self, definition: LinkDefinition) -> dict[str, str]:
        now = self._clock()
        networks = Networks(self._salts.refresh(now))
        headers = {
            HEADER: mark(networks, nonce=secrets.token_hex(8), now=now),
            "User-Agent": USER_AGENT,
            "Accept": "text/html",
            "Sec-Fetch-Mode": "navigate",
        }
        host = definition.domain or self._host
        return {**headers, "Host": host} if host else headers

    # --- wait --------------------------------------------------------------------------------------------------------------------
    def _wait(self, sent: Sequence[Sent], *, since: int) -> dict[str, Outcome]:
        """Ask the store until it has all of them or the time is over."""
        waiting = {each.click_id: each for each in sent}
        steps: dict[str, set[str]] = {}
        deadline = time.monotonic() + self._config.canary_timeout_s
        while waiting and time.monotonic() < deadline and not self._pause(_POLL_S):
            steps |= self._found(list(waiting), since=since)
            for click_id in [each for each in waiting if len(steps.get(each, ())) == 2]:
                metrics.CANARY_SECONDS.observe(time.monotonic() - waiting.pop(click_id).at)
        return {each.link_id: self._outcome(steps.get(each.click_id, set())) for each in sent}

    def _found(self, click_ids: list[str], *, since: int) -> dict[str, set[str]]:
        try:
            rows = self._store.rows(_FOUND, {"since": since, "ids": click_ids})
        except StoreError as error:
            # A store that does not answer has not got them: that is what canaries are for.
            log.info("the store does not answer a canary", error=str(error))
            return {}
        return {str(row["id"]): {str(step) for step in _listed(row["steps"])} for row in rows}

    def _outcome(self, steps: set[str]) -> Outcome:
        return "click_missing" if "click" not in steps else "touch_missing" if "touch" not in steps else "reached"


def may_carry(definition: LinkDefinition, *, now: int) -> bool:
    """Links that redirect anybody now. One that counts its clicks is left out: a canary would use them up."""
    if (
        definition.disabled
        or definition.answer != "redirect"
        or definition.max_clicks
        or definition.sign == "destination"
    ):
        return False
    started = not definition.starts or now >= parse_rfc3339(definition.starts)
    return bool(definition.fallback) or (
        started and (not definition.expires or now < parse_rfc3339(definition.expires))
    )


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
