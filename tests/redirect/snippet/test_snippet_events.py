"""What a page reports, whatever its browser lets through; in a real Chromium, to a real redirect worker."""

from __future__ import annotations

from typing import Any

import pytest

from ..live_worker import eventually
from .browser import Page, Visitor
from .shop import WATCH, Site, derived, opened

CLICK = "cd" * 16


def reported(site: Site, path: str, *names: str) -> list[dict[str, Any]]:
    """The touches of a page, once those names are among them."""
    eventually(lambda: set(names) <= {touch["name"] for touch in site.touches(path)})
    return site.touches(path)


def flushed(page: Page) -> None:
    page.run("clicktrace.flush()")


@pytest.mark.parametrize(
    "blocked",
    [
        "",
        "navigator.sendBeacon = () => {}",
        "navigator.sendBeacon = () => false",
        "navigator.sendBeacon = () => { throw new Error('blocked') }",
        "navigator.sendBeacon = undefined",
    ],
)
def test_events_arrive_whatever_an_ad_blocker_makes_of_sendbeacon(site: Site, visitor: Visitor, blocked: str) -> None:
    path = site.page(f"/transport-{len(blocked)}")
    page = opened(visitor, f"{site.url(path)}?gclid=abc", before=blocked)
    flushed(page)
    touch = reported(site, path, "page_view")[0]
    assert (touch["click_id"], touch["page"]) == (derived("gclid=abc"), site.shop + path)
    assert page.complaints() == []


def test_a_blocked_address_of_events_does_not_disturb_the_page(site: Site, visitor: Visitor) -> None:
    path = site.page("/blocked")
    page = visitor.page(before=WATCH + "navigator.sendBeacon = () => false; window.refused = []; addEventListener('unhandledrejection', e => refused.push(e)); addEventListener('error', e => refused.push(e));")  # fmt: skip
    page.call("Network.enable")
    page.call("Network.setBlockedURLs", urls=["*/ct/e"])
    page.goto(f"{site.url(path)}?gclid=abc")
    page.until("window.known > 0")
    flushed(page)
    page.run("new Promise(resolve => setTimeout(resolve, 50))")
    assert page.run("refused.length") == 0
    assert page.run("clicktrace.click") == derived("gclid=abc")
    assert site.touches(path) == []


def test_a_form_is_started_fails_and_is_sent(site: Site, visitor: Visitor) -> None:
    site.page("/thanks")
    fields = '<input id="mail" name="email" required><input id="zip" name="zip" required><button id="buy">Buy</button>'
    path = site.page("/order", f'<form id="order" action="/thanks">{fields}</form>')
    page = opened(visitor, f"{site.url(path)}?gclid=abc")
    page.press("#mail")
    page.press("#zip")
    page.press("#buy")
    page.run("mail.value = 'secret@example.com'; zip.value = '1010'")
    page.press("#buy")
    page.until("location.pathname == '/thanks'")
    touches = reported(site, path, "form_start", "form_error", "form_submit")
    forms = [(touch["name"], touch["attributes"]) for touch in touches if touch["name"].startswith("form")]
    assert forms == [
        ("form_start", {"form": "order"}),
        ("form_error", {"form": "order", "field": "email"}),
        ("form_submit", {"form": "order"}),
    ], "two empty fields are one failed attempt"
    assert "secret" not in str(touches)
    assert {touch["click_id"] for touch in touches} == {derived("gclid=abc")}


def test_a_form_the_script_says_has_failed(site: Site, visitor: Visitor) -> None:
    path = site.page("/custom")
    page = opened(visitor, site.url(path))
    page.run("clicktrace.track('form_error', {attributes: {form: 'order', field: 'iban'}}); clicktrace.track('add_to_cart', {value: 59.9})")  # fmt: skip
    flushed(page)
    told = {touch["name"]: touch for touch in reported(site, path, "form_error", "add_to_cart")}
    assert told["form_error"]["attributes"] == {"form": "order", "field": "iban"}
    assert told["add_to_cart"]["value"] == 59.9


def test_errors_of_the_page_are_reported_and_still_the_pages_own(site: Site, visitor: Visitor) -> None:
    path = site.page(
        "/broken", "<script>window.seen = []; addEventListener('error', e => seen.push(e.message))</script>"
    )
    page = opened(visitor, site.url(path))
    page.run("setTimeout(() => { throw new Error('the basket is broken') }); Promise.reject(new Error('no answer')); new Promise(resolve => setTimeout(resolve, 30))")  # fmt: skip
    flushed(page)
    messages = [t["attributes"]["message"] for t in reported(site, path, "js_error") if t["name"] == "js_error"]
    assert [message.partition("Error: ")[2] for message in sorted(messages)] == ["no answer", "the basket is broken"]
    assert len(page.run("seen")) == 1


def test_a_loop_of_errors_is_reported_ten_times(site: Site, visitor: Visitor) -> None:
    path = site.page("/loop", "<img src='/missing.png'>")
    page = opened(visitor, site.url(path))
    page.run("for (let i = 0; i < 99; i++) dispatchEvent(new ErrorEvent('error', {message: 'x'.repeat(1e5)}))")
    flushed(page)
    errors = [touch for touch in reported(site, path, "js_error") if touch["name"] == "js_error"]
    assert len(errors) == 10
    assert {len(touch["attributes"]["message"]) for touch in errors} == {256}


def test_pages_of_a_single_page_application_are_views(site: Site, visitor: Visitor) -> None:
    site.page("/app")
    page = opened(visitor, f"{site.url('/app')}?gclid=abc")
    page.run("""
      window.before = history.pushState.length;
      history.pushState({n: 1}, "", "/app/two?x=1");
      clicktrace.track("add_to_cart");
      history.replaceState(history.state, "", "/app/two?x=2");
      history.pushState({n: 2}, "", "/app/two#part");
      history.pushState({n: 3}, "", "/app/three");
      history.go(-2);
      new Promise(resolve => addEventListener("popstate", () => setTimeout(resolve)))""")
    assert page.run("[location.pathname, history.state]") == ["/app/two", {"n": 1}]
    flushed(page)
    views = lambda path: [t["name"] for t in site.touches(path)]  # noqa: E731
    eventually(lambda: views("/app/two").count("page_view") == 2)
    assert views("/app") == ["page_view"]
    assert sorted(views("/app/two")) == ["add_to_cart", "page_view", "page_view"], "an event belongs to its own page"
    assert views("/app/three") == ["page_view"]
    assert page.run("(() => { try { history.pushState(0, '', 'https://foreign.test/') } catch (e) { return e.name } })()") == "SecurityError"  # fmt: skip


def test_web_vitals_are_reported_when_the_page_is_left(site: Site, visitor: Visitor) -> None:
    body = """<h1 style="font-size:80px">Boots</h1><button id="slow">slow</button><div id="late"></div><script>
    slow.addEventListener("click", () => { const end = performance.now() + 120; while (performance.now() < end); });
    </script>"""
    path = site.page("/vitals", body)
    page = opened(visitor, site.url(path))
    page.run("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    page.run("document.body.prepend(Object.assign(document.createElement('div'), {style: 'height:200px'})); new Promise(resolve => setTimeout(resolve, 100))")  # fmt: skip
    page.press("#slow")
    page.run("new Promise(resolve => setTimeout(resolve, 250))")
    page.goto("about:blank")
    touches = reported(site, path, "web_vital")
    values = {t["attributes"]["metric"]: t.get("value", 0) for t in touches if t["name"] == "web_vital"}
    assert set(values) == {"LCP", "CLS", "INP", "TTFB"}
    assert 0 < values["TTFB"] <= values["LCP"] < 20_000
    assert 0.01 < values["CLS"] < 2
    assert 100 <= values["INP"] < 5_000


def test_a_session_spans_the_pages_of_one_visitor(site: Site, visitor: Visitor, chromium: Any) -> None:
    path = site.page("/session")

    def sessions() -> list[str]:
        return [touch["session_id"] for touch in site.touches(path) if touch["name"] == "page_view"]

    for count in (1, 2):
        flushed(opened(visitor, site.url(path)))
        eventually(lambda count=count: len(sessions()) == count)
    assert len(set(sessions())) == 1
    assert visitor.cookies()["ct_session"]["value"] == sessions()[0]
    with chromium.visitor() as other:
        flushed(opened(other, site.url(path)))
        eventually(lambda: len(sessions()) == 3)
    assert len(set(sessions())) == 2


def test_what_waits_for_the_click_is_bounded(site: Site, visitor: Visitor) -> None:
    path = site.page("/many")
    page = opened(visitor, site.url(path))
    page.run("for (let i = 0; i < 500; i++) clicktrace.track('scroll')")
    flushed(page)
    eventually(lambda: len(site.touches(path)) >= 50)
    assert len(site.touches(path)) == 50


def test_a_page_from_the_back_forward_cache_is_a_view(site: Site, visitor: Visitor) -> None:
    path = site.page("/again")
    page = opened(visitor, site.url(path))
    flushed(page)
    page.run("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    flushed(page)
    eventually(lambda: [touch["name"] for touch in site.touches(path)] == ["page_view"] * 2)
