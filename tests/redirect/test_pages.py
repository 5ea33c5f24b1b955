"""The page of links that lead nowhere: every outcome has its words, the page keeps to itself, HEAD and text are right."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from redirect import pages, reasons
from redirect.config import RedirectConfig
from redirect.handler import handle
from redirect.pages import Pages, load_pages
from redirect.plan import LOST_STATUS
from redirect.request import ACCEPT, EMPTY_FIELDS, Request

from .live_worker import ThreadWorker, link
from .test_redirect_handler import ENTROPY, NOW, world

BROWSER = b"text/html,application/xhtml+xml,*/*;q=0.8"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_every_outcome_without_a_redirect_has_words() -> None:
    assert set(LOST_STATUS) | {reasons.RATE_LIMITED, reasons.UNKNOWN_SLUG, reasons.UNKNOWN_DOMAIN} == set(pages.WORDS)


@pytest.mark.parametrize("outcome", pages.WORDS)
def test_the_page_is_small_accessible_and_loads_nothing(outcome: str) -> None:
    headers, body = Pages().of(outcome, BROWSER)
    page = Page(body.decode())
    title, text = pages.WORDS[outcome]
    assert len(body) < 1500
    assert ("lang", "en") in page.attributes
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert {title, text} <= set(page.texts)
    assert not {"script", "link", "img", "iframe", "form"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", body.decode())
    assert b"Content-Length: %d\r\n" % len(body) in headers
    assert b"default-src 'none'" in headers
    assert b"Referrer-Policy: no-referrer" in headers
    assert b"unsafe-inline" not in headers


def test_whoever_does_not_ask_for_html_gets_text() -> None:
    headers, body = Pages(note="Ask us.").of(reasons.DISABLED, b"*/*")
    assert b"text/plain" in headers
    assert body == b"This link was switched off. It is no longer in use.\nAsk us.\n"


def test_a_note_is_escaped() -> None:
    _, body = Pages(note="<script>alert('1')</script> & more").of(reasons.DISABLED, BROWSER)
    assert b"&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt; &amp; more" in body


def test_a_page_of_ones_own_gets_the_words_and_still_cannot_load_anything(tmp_path: Path) -> None:
    own = tmp_path / "own.html"
    own.write_text("<!doctype html><title>{{title}}</title><p>Tja. {{text}}", "utf-8")
    headers, body = load_pages(note="", path=str(own)).of(reasons.EXPIRED, BROWSER)
    assert body == b"<!doctype html><title>This link is over</title><p>Tja. It was meant for a limited time."
    assert b"default-src 'none'" in headers
    assert b"script-src" not in headers


def test_a_missing_page_is_found_at_start_not_by_a_visitor(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="own"):
        load_pages(note="", path=str(tmp_path / "own.html"))


def test_a_short_signing_key_is_refused_when_the_settings_are_read() -> None:
    with pytest.raises(ValidationError, match="32 characters"):
        RedirectConfig.model_validate({"signing_keys": ["short"]})


def test_head_answers_the_headers_of_get_and_nothing_else(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link(disabled=True), page_note="Ask eva.")
    client = worker.connect()
    got, head = (
        client.get("/spring", Accept=BROWSER.decode()),
        client.request("HEAD", "/spring", Accept=BROWSER.decode()),
    )
    assert (got.status, head.status) == (410, 410)
    assert b"<p>Ask eva.</p>" in got.body
    assert {**got.headers, "date": ""} == {**head.headers, "date": ""}
    assert client.get("/healthz").status == 200, "no body followed the HEAD answer"
    assert [line["reason"] for line in worker.lines()] == ["disabled"], "HEAD is no click"


@pytest.mark.parametrize("target", [b"/spring%22%3E<script>", b"/<script>alert(1)</script>", b"/'\"><img src=x>"])
def test_nothing_of_the_request_stands_on_the_page(target: bytes) -> None:
    held = EMPTY_FIELDS.copy()
    held[ACCEPT] = BROWSER
    answer = handle(Request(b"GET", target, fields=held), world=world(), now=NOW, entropy=ENTROPY)
    assert answer.outcome == "unknown_slug"
    assert answer.wire.endswith(Pages().of(reasons.UNKNOWN_SLUG, BROWSER)[1])
