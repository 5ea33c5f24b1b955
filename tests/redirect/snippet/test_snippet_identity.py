"""Which click a page belongs to, what the browser keeps of it, and what it does not keep without consent; in a real Chromium."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from core.identity import root_span_id

from ..live_worker import eventually
from .browser import Page, Visitor
from .shop import SHOP, WATCH, Site, derived, opened

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "identity.json").read_text("utf-8")
)["vectors"]
CLICK, NEWER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
GPC = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true});"
DERIVE = "Promise.all(%s.map(query => new Promise(done => clicktrace.derive(query, done))))"


def click_of(page: Page) -> str:
    return str(page.run("clicktrace.click"))


@pytest.mark.parametrize("secure", [True, False], ids=["crypto.subtle", "fallback without HTTPS"])
def test_every_identity_vector_holds_in_javascript(site: Site, visitor: Visitor, secure: bool) -> None:
    page = visitor.page(site.url("/p") if secure else site.plain_url("/p"))
    assert page.run("!!crypto.subtle") is secure
    answers = page.run(DERIVE % json.dumps([vector["query"] for vector in VECTORS]))
    got = {vector["title"]: answer or None for vector, answer in zip(VECTORS, answers, strict=True)}
    assert got == {vector["title"]: vector["click_id"] for vector in VECTORS}


def test_an_all_zero_digest_becomes_one(site: Site, visitor: Visitor) -> None:
    page = visitor.page(site.url("/p"), before="crypto.subtle.digest = () => Promise.resolve(new ArrayBuffer(32));")
    assert page.run(DERIVE % '["gclid=a"]') == ["1".zfill(32)]


def test_a_click_through_the_redirect_is_the_click_of_the_page(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.go}/spring?utm_source=letter&ct_click={CLICK}")
    [click] = [click for click in site.redirect.lines() if click.get("utm") == {"utm_source": "letter"}]
    assert click_of(page) == click["click_id"] != CLICK, "a new click gets a new ID"
    trace = f"00-{click['click_id']}-{root_span_id(click['click_id'])}-01"
    assert page.run("clicktrace.traceparent") == trace
    assert page.run("document.querySelector('meta[name=traceparent]').content") == trace
    page.until("location.search == '?utm_source=letter'")


def test_with_parallel_tracking_page_and_redirect_derive_the_same_click(site: Site, visitor: Visitor) -> None:
    search = visitor.page(site.url(site.page("/search", tag="<b>search</b>")))
    query = "gclid=Parallel-1_x%2F"
    seen = len(search.events)
    search.run(f"navigator.sendBeacon('{site.go}/spring?{query}'); location = '{site.url('/p')}?{query}'; 0")
    search.loaded(since=seen)
    search.until("window.clicktrace && clicktrace.traceparent")
    assert click_of(search) == derived(query)
    eventually(lambda: derived(query) in [click["click_id"] for click in site.redirect.lines()])
    [click] = [click for click in site.redirect.lines() if click["click_id"] == derived(query)]
    assert click["parallel"] is True


def test_without_crypto_subtle_page_and_redirect_derive_the_same_click(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.plain_url('/p')}?msclkid=a%20b+c")
    assert page.run("!!crypto.subtle") is False
    assert click_of(page) == derived("msclkid=a%20b+c")
    assert page.run("clicktrace.traceparent").split("-")[2] == root_span_id(click_of(page))
    assert visitor.cookies()["ct_click"]["secure"] is False


@pytest.mark.parametrize("query", ["a=1?gclid=Doubled", "?gclid=Doubled", "a=/x?b=2&c?gclid=Doubled?d=3"])
def test_a_doubled_question_mark_hides_no_id(site: Site, visitor: Visitor, query: str) -> None:
    page = opened(visitor, f"{site.url('/p')}?{query}")
    assert click_of(page) == derived("gclid=Doubled") == derived(query)
    assert click_of(opened(visitor, f"{site.url('/p')}?a=1?ct_click={CLICK}")) == CLICK


def test_the_click_is_kept_for_90_days_from_its_first_page(site: Site, visitor: Visitor) -> None:
    before = time.time()
    opened(visitor, f"{site.url('/p')}?ct_click={CLICK}")
    cookie = visitor.cookies()["ct_click"]
    assert (cookie["value"], cookie["domain"], cookie["path"]) == (CLICK, SHOP, "/")
    assert (cookie["secure"], cookie["sameSite"]) == (True, "Lax")
    assert cookie["expires"] == pytest.approx(before + 90 * 86_400, abs=30)
    assert click_of(opened(visitor, site.url("/p"))) == CLICK, "the cookie lives on"
    assert visitor.cookies()["ct_click"]["expires"] == cookie["expires"], "a later page does not renew it"


def test_the_newest_click_wins(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.url('/p')}?ct_click={CLICK}&gclid=other")
    assert click_of(page) == CLICK, "what the redirect said counts before what can be derived"
    page.goto(f"{site.url('/p')}?gclid=abc")
    page.until("clicktrace.traceparent")
    assert click_of(page) == derived("gclid=abc") == visitor.cookies()["ct_click"]["value"]
    newer = opened(visitor, f"{site.url('/p')}?ct_click={NEWER}")
    assert click_of(newer) == NEWER
    seen = len(page.events)
    page.call("Page.reload")
    page.loaded(since=seen)
    page.until("clicktrace.traceparent")
    assert page.run("location.search") == "?gclid=abc"
    assert click_of(page) == NEWER, "an old address that is loaded again is no new click"


def test_a_malformed_click_id_is_none(site: Site, visitor: Visitor) -> None:
    for wrong in ("0" * 32, CLICK.upper(), CLICK[1:], "<b>"):
        assert click_of(opened(visitor, f"{site.url('/p')}?ct_click={wrong}")) == ""
    assert "ct_click" not in visitor.cookies()


# --- the address -------------------------------------------------------------------------------------------------------------------


def test_the_address_loses_only_our_parameter(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.url('/p')}?a=%20b&ct_click={CLICK}&c=d+e&flag#part")
    page.until("!location.search.includes('ct_click')")
    assert page.run("location.search + location.hash") == "?a=%20b&c=d+e&flag#part"
    assert page.run("history.length") == 2, "about:blank and the page: nothing was added"


def test_the_address_keeps_the_click_where_no_cookie_does(site: Site, visitor: Visitor) -> None:
    page = visitor.page(before=WATCH)
    page.call("Emulation.setDocumentCookieDisabled", disabled=True)
    page.goto(f"{site.url('/p')}?ct_click={CLICK}")
    page.until("window.known > 0")
    assert click_of(page) == CLICK, "cookies refused: the click is this page's all the same"
    page.run("new Promise(resolve => setTimeout(resolve, 50))")
    assert page.run("location.search") == f"?ct_click={CLICK}"
    assert visitor.cookies() == {}
    assert page.complaints() == []


def test_a_site_can_keep_its_addresses_as_they_are(site: Site, visitor: Visitor) -> None:
    site.page("/kept", tag=site.tag.replace("<script ", "<script data-keep "))
    page = opened(visitor, f"{site.url('/kept')}?ct_click={CLICK}")
    page.run("new Promise(resolve => setTimeout(resolve, 50))")
    assert page.run("location.search") == f"?ct_click={CLICK}"


# --- consent -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", ["Global Privacy Control", "ct_consent=no", "ct_consent=No", "cookie", "attribute"])
def test_without_consent_nothing_is_derived_and_nothing_kept(site: Site, visitor: Visitor, refusal: str) -> None:
    before = {"Global Privacy Control": GPC, "cookie": "document.cookie = 'ct_consent=no';"}.get(refusal, "")
    query = "gclid=abc" + (f"&{refusal}" if refusal.startswith("ct_consent") else "")
    tag = site.tag.replace("<script ", '<script data-consent="no" ') if refusal == "attribute" else ""
    path = site.page(f"/refused-{refusal.replace(' ', '-')}", tag=tag)
    page = opened(visitor, f"{site.url(path)}?{query}", before=before)
    assert (click_of(page), page.run("clicktrace.traceparent")) == ("", "")
    eventually(lambda: bool(site.touches(path)))
    for touch in site.touches(path):
        assert not {"click_id", "session_id", "visitor_id"} & touch.keys(), "the page view counts, and is nobody's"
    assert set(visitor.cookies()) <= {"ct_consent"}
    assert page.run("sessionStorage.length + localStorage.length") == 0


def test_a_refusal_the_redirect_knew_leaves_its_random_id_to_this_page(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.go}/spring?gclid=secret&ct_consent=no")
    assert click_of(page) not in ("", derived("gclid=secret"))
    assert click_of(page) in [click["click_id"] for click in site.redirect.lines()]
    assert visitor.cookies() == {}
    assert click_of(opened(visitor, site.url("/p"))) == ""


def test_consent_that_is_given_later_counts_from_then_on(site: Site, visitor: Visitor) -> None:
    site.page("/ask", tag=site.tag.replace("<script ", '<script data-consent="no" '))
    page = opened(visitor, f"{site.url('/ask')}?gclid=abc")
    page.run("clicktrace.consent(true)")
    page.until("clicktrace.click")
    assert click_of(page) == derived("gclid=abc")
    page.until("window.known > 1")
    assert {name: cookie["value"] for name, cookie in visitor.cookies().items() if name != "ct_session"} == {
        "ct_click": derived("gclid=abc"),
        "ct_consent": "yes",
    }
    assert click_of(opened(visitor, site.url("/ask"))) == derived("gclid=abc"), "it is remembered"


def test_consent_that_is_withdrawn_takes_everything_away(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.url('/p')}?gclid=abc")
    page.run("clicktrace.flush(); clicktrace.consent(false)")
    assert (click_of(page), page.run("clicktrace.traceparent")) == ("", "")
    assert page.run("document.querySelector('meta[name=traceparent]').content") == ""
    assert {name: cookie["value"] for name, cookie in visitor.cookies().items()} == {"ct_consent": "no"}
    assert click_of(opened(visitor, f"{site.url('/p')}?gclid=abc")) == ""


def test_the_browsers_refusal_outweighs_what_a_page_says(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.url('/p')}?gclid=abc&ct_consent=yes", before=GPC)
    page.run("clicktrace.consent(true)")
    assert click_of(page) == ""
    assert visitor.cookies() == {}


# --- pages that make it hard -------------------------------------------------------------------------------------------------------


def test_the_trace_a_server_has_written_is_left_alone(site: Site, visitor: Visitor) -> None:
    theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    site.page("/traced", tag=f'<meta name="traceparent" content="{theirs}">{site.tag}')
    page = opened(visitor, f"{site.url('/traced')}?gclid=abc")
    assert page.run("[...document.querySelectorAll('meta[name=traceparent]')].map(m => m.content)") == [theirs]
    assert page.run("clicktrace.traceparent").split("-")[1] == derived("gclid=abc")


def test_a_strict_content_security_policy_needs_two_entries(site: Site, visitor: Visitor) -> None:
    policy = (
        f"default-src 'none'; script-src {site.go}; connect-src {site.go}; base-uri 'none'; form-action 'self';"
        " require-trusted-types-for 'script'"
    )
    isolated = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    site.page("/strict", headers={"Content-Security-Policy": policy, **isolated})
    page = visitor.page(f"{site.url('/strict')}?gclid=strict", before=WATCH)
    page.until("window.known > 0")
    assert click_of(page) == derived("gclid=strict")
    eventually(lambda: bool(site.touches("/strict")))
    assert page.complaints() == []


def test_a_sandboxed_frame_without_storage_is_not_disturbed(site: Site, visitor: Visitor) -> None:
    framed = f'<iframe sandbox="allow-scripts" src="{site.url("/p")}?gclid=framed"></iframe>'
    site.page("/frame", f"{framed}<script>addEventListener('error', e => window.broken = e.message)</script>")
    page = opened(visitor, site.url("/frame"))
    assert page.run("window.broken") is None
    assert [text for text in page.complaints() if "clicktrace" in text or "ct.js" in text] == []


def test_a_page_with_two_tags_has_one_snippet(site: Site, visitor: Visitor) -> None:
    site.page("/twice", tag=site.tag * 2)
    page = opened(visitor, f"{site.url('/twice')}?gclid=twice")
    page.run("clicktrace.flush()")
    eventually(lambda: bool(site.touches("/twice")))
    assert [touch["name"] for touch in site.touches("/twice")] == ["page_view"]
