"""Canary clicks: our own click on each link, followed until it and its touch are in the store.

One round, in the order it happens:

1. choose links: those whose last canary was lost, then, when a round is due, the next ones by slug, in turn,
2. click: GET the short link with the mark of a canary, take `ct_click` from its Location,
3. touch: POST a page view with that click ID to `/ct/e`, as the snippet on the page would,
4. wait until the store has both, at most `canary_timeout_s`,
5. once more for whatever was lost, after `retry_s`: a restart of a worker is no loss.

While a link is lost, its canary comes every minute, so that the end of it is seen soon.

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
_PACE_S: Final = 0.05
_STEPS: Final = ("click", "touch")
#: `tick` is called this often at least; a round that is due a moment later is done now.
TICK_S: Final = 60.0
_EARLY_MS: Final = 1_000
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
        self._round_at = 0
        self._stopping = Event()
        self._pause = pause or self._stopping.wait

    def stop(self) -> None:
        """End a round under way; may be called twice."""
        self._stopping.set()

    def tick(self, now: int) -> None:
        """One round, if one is due or a link is lost; nothing where there is no redirect."""
        # A last round that lies ahead was begun before the clock was set back.
        due = not 0 <= now - self._round_at < round(self._config.canary_interval_s * 1000) - _EARLY_MS
        if not due and not self.lost:
            return
        self._round_at = now if due else self._round_at
        base = self._entrance()
        still, chosen = self._choose(now, more=due) if base else (set[str](), [])
        outcomes = self._send_and_wait(base, chosen, now=now) if chosen else {}
        again = [link for link in chosen if outcomes.get(link.link_id, "reached") != "reached"]
        if again and not self._pause(self._config.retry_s):
            outcomes |= self._send_and_wait(base, again, now=self._clock())
        if not self._stopping.is_set():
            self._note(outcomes, still=still, ended=self._clock())
            self._tell(again)

    def _note(self, outcomes: dict[str, Outcome], *, still: set[str], ended: int) -> None:
        """Remember what is lost: from this round, and from earlier ones of `still` that had no turn."""
        for outcome in outcomes.values():
            metrics.CANARIES.labels(outcome).inc()
        waiting = {each: why for each, why in self.lost.items() if each in still and each not in outcomes}
        self.lost = waiting | {each: why for each, why in outcomes.items() if why != "reached"}
        metrics.CANARY_LOST.set(len(self.lost))
        metrics.CANARY_ROUND.set(ended / 1000)

    def _tell(self, chosen: Iterable[Link]) -> None:
        for link in chosen:
            if link.link_id in self.lost:
                log.warning("canary lost", link=link_name(link.definition), outcome=self.lost[link.link_id])

    # --- choose ------------------------------------------------------------------------------------------------------------------
    def _choose(self, now: int, *, more: bool) -> tuple[set[str], list[Link]]:
        """(lost links that could still carry a canary, this round's links): lost ones take half of the places at most.

        Args:
            more: not only lost ones.
        """
        with self._engine.connect() as connection:
            query = select(links).where(links.c.disabled.is_(False))
            lost_rows = connection.execute(query.where(links.c.link_id.in_(list(self.lost)))).all() if self.lost else []
            lost = {row.link_id: link for row in lost_rows if may_carry((link := to_link(row)).definition, now=now)}
            first = [lost[each] for each in self.lost if each in lost][: max(self._config.canary_links // 2, 1)]
            room = self._config.canary_links - len(first) if more else 0
            ordered = query.order_by(links.c.slug, links.c.domain)
            here = tuple_(links.c.slug, links.c.domain) > tuple_(*self._after)
            rows = [*connection.execute(ordered.where(here).limit(room))]
            rows += [*connection.execute(ordered.limit(room - len(rows)))] if len(rows) < room else []
        if rows:
            self._after = (rows[-1].slug, rows[-1].domain)
        following = [link for link in map(to_link, rows) if may_carry(link.definition, now=now)]
        chosen = {link.link_id: link for link in [*first, *following]}
        return set(lost), list(chosen.values())

    # --- send --------------------------------------------------------------------------------------------------------------------
    def _send_and_wait(self, base: str, chosen: Sequence[Link], *, now: int) -> dict[str, Outcome]:
        flight = _Flight(lambda click_ids: self._found(click_ids, since=now - MINUTE_MS))
        local = urlsplit(base).hostname in ("127.0.0.1", "::1")
        # On loopback no certificate can name the address; what goes there does not leave this machine.
        with httpx.Client(base_url=base, verify=not local, trust_env=False, timeout=REQUEST_TIMEOUT_S) as client:
            for link in chosen:
                flight.add(self._send(client, link))
                flight.look()
                if self._pause(_PACE_S):
                    break
        deadline = time.monotonic() + self._config.canary_timeout_s
        while flight.waiting and time.monotonic() < deadline and not self._pause(_POLL_S):
            flight.look()
        return flight.outcomes()

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

    # --- wait ------------------------------------------------------------------------------------------------------------------
    def _found(self, click_ids: list[str], *, since: int) -> dict[str, set[str]]:
        try:
            rows = self._store.rows(_FOUND, {"since": since, "ids": click_ids})
        except StoreError as error:
            # A store that does not answer has not got them: that is what canaries are for.
            log.info("the store does not answer a canary", error=str(error))
            return {}
        return {str(row["id"]): {str(step) for step in _listed(row["steps"])} for row in rows}


class _Flight:
    """The canaries of one round, from the redirect to the store."""

    def __init__(self, found: Callable[[list[str]], dict[str, set[str]]]) -> None:
        self.waiting: dict[str, Sent] = {}
        self._found = found
        self._sent: list[Sent] = []
        self._steps: dict[str, set[str]] = {}
        self._looked = 0.0

    def add(self, sent: Sent) -> None:
        self._sent.append(sent)
        if sent.outcome is None:
            self.waiting[sent.click_id] = sent

    def look(self) -> None:
        """Ask the store for those that are not home, but not too often."""
        if not self.waiting or time.monotonic() - self._looked < _POLL_S / 2:
            return
        self._looked = time.monotonic()
        self._steps |= self._found(list(self.waiting))
        for click_id in [each for each in self.waiting if len(self._steps.get(each, ())) == len(_STEPS)]:
            metrics.CANARY_SECONDS.observe(time.monotonic() - self.waiting.pop(click_id).at)

    def outcomes(self) -> dict[str, Outcome]:
        return {sent.link_id: sent.outcome or self._outcome(sent.click_id) for sent in self._sent}

    def _outcome(self, click_id: str) -> Outcome:
        steps = self._steps.get(click_id, set())
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
