"""The snippet in a real browser: the identity vectors, and a page that sends real events to a real redirect worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.identity import derive_from_query, root_span_id
from redirect.snippet.load import load_snippet

from ..live_worker import ThreadWorker, eventually, link
from .browser import Chromium, Shop

Start = Callable[..., ThreadWorker]
VECTORS = Path(__file__).parents[2] / "vectors" / "identity.json"
INSECURE_HOST = "shop.snippet-test.example"

VECTOR_PAGE = """<!doctype html><title>vectors</title><pre id="out"></pre>%(before)s<script src="%(ct)s"></script><script>
const vectors = %(vectors)s, results = [];
function next(i) {
  if (i === vectors.length) {
    document.getElementById("out").textContent = JSON.stringify({subtle: !!crypto.subtle, results});
    return;
  }
  clicktrace.derive(vectors[i].query, function (id) { results.push(id || null); next(i + 1); });
}
next(0);
</script>"""

STATE_PAGE = """<!doctype html><title>state</title><pre id="out"></pre>
<script>%(before)s
function report() {
  document.getElementById("out").textContent = JSON.stringify({
    click: clicktrace.click, traceparent: clicktrace.traceparent, cookie: document.cookie, more: window.more || {}});
}
document.addEventListener("clicktrace", report);
</script>
<script src="%(ct)s"></script>
%(body)s"""


@pytest.fixture
def shop() -> Iterator[Shop]:
    running = Shop()
    yield running
    running.stop()


@pytest.fixture
def redirect(start_worker: Start) -> ThreadWorker:
    return start_worker(link())


def ct_url(worker: ThreadWorker) -> str:
    return f"http://127.0.0.1:{worker.port}/ct.js"


def vectors() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["vectors"]
    return loaded


@pytest.mark.parametrize("secure", [True, False], ids=["crypto.subtle", "fallback without HTTPS"])
def test_every_identity_vector_holds_in_javascript(
    shop: Shop, redirect: ThreadWorker, tmp_path: Path, secure: bool
) -> None:
    shop.pages["/vectors"] = VECTOR_PAGE % {"ct": ct_url(redirect), "vectors": json.dumps(vectors()), "before": ""}
    host = "127.0.0.1" if secure else INSECURE_HOST
    answer = Chromium(tmp_path / "profile", hosts=(INSECURE_HOST,)).open(f"http://{host}:{shop.port}/vectors")
    assert answer["subtle"] is secure
    expected = {vector["title"]: vector["click_id"] for vector in vectors()}
    got = {vector["title"]: result for vector, result in zip(vectors(), answer["results"], strict=True)}
    assert got == expected


def test_an_all_zero_digest_becomes_one(shop: Shop, redirect: ThreadWorker, tmp_path: Path) -> None:
    before = "<script>crypto.subtle.digest = function () { return Promise.resolve(new ArrayBuffer(32)); };</script>"
    one = json.dumps([{"query": "gclid=a"}])
    shop.pages["/zero"] = VECTOR_PAGE % {"ct": ct_url(redirect), "vectors": one, "before": before}
    answer = Chromium(tmp_path / "profile").open(f"http://127.0.0.1:{shop.port}/zero")
    assert answer["results"] == ["00000000000000000000000000000001"]


def test_the_page_keeps_the_newest_click_as_a_cookie_and_names_its_root_span(
    shop: Shop, redirect: ThreadWorker, tmp_path: Path
) -> None:
    shop.pages["/p"] = STATE_PAGE % {"ct": ct_url(redirect), "before": "", "body": ""}
    browser = Chromium(tmp_path / "profile")
    base = f"http://127.0.0.1:{shop.port}/p"
    minted, derived = "0123456789abcdef" * 2, derive_from_query(b"gclid=abc")
    assert derived
    first = browser.open(f"{base}?ct_click={minted}&gclid=other")
    assert first["click"] == minted
    assert first["traceparent"] == f"00-{minted}-{root_span_id(minted)}-01"
    assert f"ct_click={minted}" in first["cookie"]
    assert browser.open(base)["click"] == minted, "the cookie lives on"
    assert browser.open(f"{base}?gclid=abc")["click"] == derived[0], "the newest click wins"
    assert browser.open(base)["click"] == derived[0]


@pytest.mark.parametrize("refusal", ["parameter", "browser"])
def test_without_consent_nothing_is_derived_and_no_cookie_is_set(
    shop: Shop, redirect: ThreadWorker, tmp_path: Path, refusal: str
) -> None:
    gpc = "Object.defineProperty(navigator, 'globalPrivacyControl', {value: true});" if refusal == "browser" else ""
    shop.pages["/p"] = STATE_PAGE % {"ct": ct_url(redirect), "before": gpc, "body": ""}
    query = "gclid=abc" + ("&ct_consent=no" if refusal == "parameter" else "")
    answer = Chromium(tmp_path / "profile").open(f"http://127.0.0.1:{shop.port}/p?{query}")
    assert (answer["click"], answer["traceparent"]) == ("", "")
    assert "ct_click" not in answer["cookie"]


BUSY_BODY = """
<form id="order"><input name="email" required><button>Buy</button></form>
<script>
addEventListener("load", function () {
  const form = document.getElementById("order");
  form.addEventListener("submit", function (e) { e.preventDefault(); });
  form.elements[0].dispatchEvent(new FocusEvent("focusin", {bubbles: true}));
  form.requestSubmit();
  form.elements[0].value = "secret@example.com";
  form.requestSubmit();
  setTimeout(function () { throw new Error("the basket is broken"); }, 10);
  setTimeout(function () { dispatchEvent(new Event("pagehide")); }, 1500);
});
</script>"""


@pytest.mark.parametrize("transport", ["sendBeacon", "an empty sendBeacon of an ad blocker", "no sendBeacon"])
def test_a_page_sends_its_events_to_the_worker(shop: Shop, start_worker: Start, tmp_path: Path, transport: str) -> None:
    redirect = start_worker(link(), sites=[f"127.0.0.1:{shop.port}", "other.example"])
    before = {
        "sendBeacon": "",
        "an empty sendBeacon of an ad blocker": "navigator.sendBeacon = function () { return false; };",
        "no sendBeacon": "navigator.sendBeacon = undefined;",
    }[transport]
    shop.pages["/p"] = STATE_PAGE % {"ct": ct_url(redirect), "before": before, "body": BUSY_BODY}
    Chromium(tmp_path / "profile").open(f"http://127.0.0.1:{shop.port}/p?gclid=abc&secret=1", wait_ms=6000)
    wanted = {"page_view", "form_start", "form_error", "form_submit", "js_error", "web_vital"}
    eventually(lambda: wanted <= {touch["name"] for touch in redirect.lines("touch")})
    touches = redirect.lines("touch")
    derived = derive_from_query(b"gclid=abc")
    assert derived
    assert {touch["click_id"] for touch in touches} == {derived[0]}
    assert {touch["page"] for touch in touches} == {f"127.0.0.1:{shop.port}/p"}
    assert len({touch["session_id"] for touch in touches}) == 1
    by_name = {touch["name"]: touch for touch in touches}
    assert by_name["form_start"]["attributes"] == {"form": "order"}
    assert "the basket is broken" in by_name["js_error"]["attributes"]["message"]
    assert "TTFB" in {touch["attributes"]["metric"] for touch in touches if touch["name"] == "web_vital"}
    assert sum(touch["name"] == "form_submit" for touch in touches) == 1
    assert "secret" not in str(touches)


def test_links_to_the_other_sites_carry_the_click_and_no_other_link_does(
    shop: Shop, start_worker: Start, tmp_path: Path
) -> None:
    redirect = start_worker(link(), sites=["pay.example", "other.example"])
    body = """<a href="https://pay.example/cart?x=1#y"><b>pay</b></a><a href="https://foreign.example/">no</a>
    <a href="/same">no</a><a href="mailto:a@b.example">no</a><script>
    addEventListener("load", function () {
      const links = [...document.querySelectorAll("a")];
      links.forEach(function (a) {
        a.addEventListener("click", function (e) { e.preventDefault(); });
        (a.firstElementChild || a).click();
      });
      window.more = links.map(function (a) { return a.getAttribute("href"); });
      report();
    });</script>"""
    shop.pages["/p"] = STATE_PAGE % {"ct": ct_url(redirect), "before": "", "body": body}
    answer = Chromium(tmp_path / "profile").open(f"http://127.0.0.1:{shop.port}/p?ct_click={'ab' * 16}")
    assert answer["more"] == [
        f"https://pay.example/cart?x=1&ct_click={'ab' * 16}#y",
        "https://foreign.example/",
        "/same",
        "mailto:a@b.example",
    ]


def test_the_snippet_is_small_enough_and_names_its_sites() -> None:
    snippet = load_snippet(["shop.example", "pay.example"])
    assert len(snippet.body) < 5_000
    assert b'"shop.example pay.example"' in snippet.body
    assert snippet.etag != load_snippet([]).etag


def test_the_snippet_is_cached_and_revalidated(redirect: ThreadWorker) -> None:
    first = redirect.get("/ct.js")
    assert (first.status, first.headers["cache-control"]) == (200, "public, max-age=3600")
    assert first.headers["content-type"].startswith("text/javascript")
    again = redirect.get("/ct.js", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert redirect.connect().request("POST", "/ct.js").status == 405
