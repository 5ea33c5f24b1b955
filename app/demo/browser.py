"""One visit as a browser makes it: the click, the page, the snippet's cookie and events, the form."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from app.demo.click_id_middleware import click_id_of
from app.demo.user_agents import DeviceName
from app.demo.wire import Answer, Unanswered, Wire
from app.demo.world import Link, Page, Platform

#: How the platforms name the click in the address, and what they put there.
CLICK_PARAMETER: dict[Platform, str] = {"google": "gclid", "meta": "fbclid", "microsoft": "msclkid"}
#: In-app browsers and privacy settings drop Meta's parameter from one click in seven.
META_DROPS_ONE_IN = 7
MAX_WAIT_S = 30.0


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What a visitor will do, decided at the click. `token` is random hex for identifiers."""

    link: Link
    device: DeviceName
    user_agent: str
    address: str
    orders: bool
    lands: bool
    starts_form: bool
    field_refused: bool
    delay_s: float
    patience_s: float
    cost_of_order_micros: int
    token: str


class Browser:
    """All the browsers. `counts` says what became of the visits; `…_micros` is the ad money behind orders that were lost."""

    def __init__(self, *, redirect: Wire, shop: Wire, site: str) -> None:
        self.counts: Counter[str] = Counter()
        self._redirect = redirect
        self._shop = shop
        self.site = site
        self._background: set[asyncio.Task[None]] = set()

    async def paid(self, visit: Visit) -> None:
        """A click on an advertisement."""
        self.counts["clicks"] += 1
        link = visit.link
        query = self._platform_query(visit)
        if link.campaign.parallel:
            call = asyncio.create_task(self._background_call(visit, query))
            self._background.add(call)
            call.add_done_callback(self._background.discard)
            target = f"{link.page.path}?{query}"
        else:
            answer = await self._hit(
                f"/{link.slug}?{query}",
                visit,
                {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            )
            if answer is None or answer.status != 302:
                self._lose(visit, "lost_at_redirect")
                return
            target = self._path_of(answer.headers["location"])
        await self._browse(visit, target)

    async def organic(self, visit: Visit) -> None:
        """Somebody who comes without an advertisement."""
        self.counts["organic"] += 1
        await self._browse(visit, visit.link.page.path)

    async def machine(self, link: Link, *, user_agent: str, address: str, lands: bool) -> None:
        """A program that follows a short link and runs no script."""
        self.counts["machine_hits"] += 1
        headers = {"User-Agent": user_agent, "X-Forwarded-For": address, "Accept": "*/*"}
        try:
            answer = await self._redirect.request("GET", f"/{link.slug}", headers=headers)
            if lands and answer.status == 302:
                await self._shop.request("GET", self._path_of(answer.headers["location"]), headers=headers)
        except Unanswered:
            self.counts["machine_unanswered"] += 1

    async def _browse(self, visit: Visit, target: str) -> None:
        if not visit.lands:
            return
        answer = await self._load(visit, target)
        if answer is None:
            return
        self.counts["landed"] += 1
        path, _, query = target.partition("?")
        tagged = b"/ct.js" in answer.body
        # The snippet keeps the click ID as a first-party cookie; without the tag there is neither cookie nor event.
        click_id = click_id_of(query, "") if tagged else ""
        tab = Tab(self, visit, page=path, click_id=click_id, tagged=tagged)
        await tab.read_and_order()

    async def _load(self, visit: Visit, target: str) -> Answer | None:
        """The landing page, or None when it failed or the visitor's patience ended first."""
        headers = {"User-Agent": visit.user_agent, "Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
        started = asyncio.get_running_loop().time()
        try:
            # Half a second of waiting is forgiven by everyone, so that a healthy page loses nobody.
            answer = await self._shop.request(
                "GET", target, headers=headers, timeout_s=min(MAX_WAIT_S, 0.5 + visit.patience_s)
            )
        except Unanswered:
            waited = asyncio.get_running_loop().time() - started
            self._lose(visit, "left_waiting" if waited > 0.4 else "shop_unreachable")
            return None
        if answer.status != 200:
            self._lose(visit, "page_failed")
            return None
        return answer

    async def submit(self, visit: Visit, page: Page, *, cookie: str) -> bool:
        """Send the order form; whether the shop took it."""
        headers = {
            "User-Agent": visit.user_agent,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://{self.site}",
        }
        if cookie:
            headers["Cookie"] = cookie
        body = f"from={page.path}&name=A.+Visitor&postal_code={visit.token[:5]}".encode()
        try:
            answer = await self._shop.request("POST", page.submit_path, headers=headers, body=body)
        except Unanswered:
            return False
        return answer.status in (200, 303)

    async def send_events(self, visit: Visit, body: dict[str, object]) -> None:
        """What `sendBeacon` does: no answer is waited for by the page."""
        headers = {"User-Agent": visit.user_agent, "Content-Type": "text/plain", "Origin": f"http://{self.site}",
                   "X-Forwarded-For": visit.address}  # fmt: skip
        try:
            answer = await self._redirect.request("POST", "/ct/e", headers=headers, body=msgspec.json.encode(body))
        except Unanswered:
            self.counts["events_unanswered"] += 1
            return
        self.counts["events" if answer.status == 204 else f"events_{answer.status}"] += 1

    def took(self, visit: Visit) -> None:
        self.counts["orders"] += 1

    def failed(self, visit: Visit) -> None:
        self._lose(visit, "order_failed")

    def _lose(self, visit: Visit, how: str) -> None:
        """A visit ends early; an order is lost only where there would have been one."""
        self.counts[how] += 1
        if visit.orders:
            self.counts["orders_lost"] += 1
            self.counts["wasted_micros"] += visit.cost_of_order_micros

    async def _background_call(self, visit: Visit, query: str) -> None:
        """Parallel tracking: the browser calls the redirect while the buyer is already on the page."""
        answer = await self._hit(
            f"/{visit.link.slug}?{query}",
            visit,
            {"Accept": "*/*", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
        )
        if answer is None or answer.status != 302:
            self.counts["background_call_failed"] += 1

    async def _hit(self, target: str, visit: Visit, headers: dict[str, str]) -> Answer | None:
        try:
            return await self._redirect.request(
                "GET", target, headers={"User-Agent": visit.user_agent, "X-Forwarded-For": visit.address, **headers}
            )
        except Unanswered:
            self.counts["redirect_unanswered"] += 1
            return None

    def _platform_query(self, visit: Visit) -> str:
        platform = visit.link.campaign.platform
        campaign = visit.link.campaign.campaign.rpartition(":")[2]
        utm = f"utm_source={platform}&utm_campaign={campaign}"
        if platform == "meta" and int(visit.token[:6], 16) % META_DROPS_ONE_IN == 0:
            return utm
        prefix = {"google": "CjwKCAiA", "meta": "IwZXh0bgNhZW0", "microsoft": ""}[platform]
        return f"{utm}&{CLICK_PARAMETER[platform]}={prefix}{visit.token[6:]}"

    def _path_of(self, location: str) -> str:
        """Path and query of an address on the shop; the name is resolved by whoever holds the connection."""
        return "/" + location.partition("://")[2].partition("/")[2]


class Tab:
    """One open page: what its snippet sends and what its visitor does."""

    def __init__(self, browser: Browser, visit: Visit, *, page: str, click_id: str, tagged: bool) -> None:
        self._browser = browser
        self._visit = visit
        self._page = page
        self._click_id = click_id
        self._tagged = tagged

    async def read_and_order(self) -> None:
        visit = self._visit
        await self._event("page_view")
        if not visit.starts_form:
            return
        await asyncio.sleep(visit.delay_s / 2)
        await self._event("form_start")
        await asyncio.sleep(visit.delay_s / 2)
        if visit.field_refused:
            await self._event("form_error", field="postal_code")
        if not visit.orders:
            return
        await self._event("form_submit")
        cookie = f"ct_click={self._click_id}" if self._click_id else ""
        if await self._browser.submit(visit, visit.link.page, cookie=cookie):
            self._browser.took(visit)
        else:
            self._browser.failed(visit)
            await self._event("form_error", status="500")

    async def _event(self, name: str, **attributes: str) -> None:
        if not self._tagged:
            return
        body: dict[str, object] = {
            "session": self._visit.token[:16], "page": f"http://{self._browser.site}{self._page}",
            "events": [{"name": name, "attributes": attributes}],
        }  # fmt: skip
        if self._click_id:
            body["click"] = self._click_id
        await self._browser.send_events(self._visit, body)
