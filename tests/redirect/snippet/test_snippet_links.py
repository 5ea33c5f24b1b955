"""Links and forms that lead to the site's other domain carry the click there; in a real Chromium."""

from __future__ import annotations

import pytest

from .browser import Page, Visitor
from .shop import FOREIGN, Site, opened

CLICK = "ab" * 16
STAY = "<script>addEventListener('click', e => e.preventDefault())</script>"


def arrived(page: Page, host: str) -> str:
    """The click of the page on the other domain that the tab was led to."""
    page.until(f"location.host == '{host}' && window.known > 0")
    return str(page.run("clicktrace.click"))


def test_a_link_to_the_sites_other_domain_carries_the_click_and_no_other_does(site: Site, visitor: Visitor) -> None:
    hrefs = {
        f"https://{site.pay}/cart?x=%20y&flag#z": f"https://{site.pay}/cart?x=%20y&flag&ct_click={CLICK}#z",
        f"//{site.pay}/cart?ct_click=old&b": f"https://{site.pay}/cart?b&ct_click={CLICK}",
        f"https://{FOREIGN}:{site.web.port}/": f"https://{FOREIGN}:{site.web.port}/",
        "https://pay.test/": "https://pay.test/",
        "/same?a": "/same?a",
        "mailto:a@b.example": "mailto:a@b.example",
        "javascript:void 0": "javascript:void 0",
        "": "",
    }
    links = "".join(f'<a href="{href}"><b>x</b></a>' for href in hrefs)
    site.page("/links", links + '<a><b>none</b></a><svg><a href="/in-svg"><text>x</text></a></svg>' + STAY)
    page = opened(visitor, f"{site.url('/links')}?ct_click={CLICK}")
    page.run("document.querySelectorAll('b, text').forEach(b => b.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, composed: true})))")  # fmt: skip
    assert page.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))") == [
        *hrefs.values(),
        None,
        "/in-svg",
    ]
    assert page.complaints() == []


def test_a_buyer_who_follows_the_link_is_the_same_click_on_the_other_domain(site: Site, visitor: Visitor) -> None:
    site.page("/cart")
    site.page("/from", f'<a id="go" href="https://{site.pay}/cart">pay</a>')
    page = opened(visitor, f"{site.url('/from')}?ct_click={CLICK}")
    page.press("#go")
    assert arrived(page, site.pay) == CLICK
    domains = {name: cookie["domain"] for name, cookie in visitor.cookies().items() if name == "ct_click"}
    assert domains, "kept as a cookie of the other domain, too"


def test_a_link_in_a_shadow_tree_is_found(site: Site, visitor: Visitor) -> None:
    site.page("/shadow", f"<div id=d></div>{STAY}<script>d.attachShadow({{mode: 'open'}}).innerHTML = '<a href=\"https://{site.pay}/x\">x</a>'</script>")  # fmt: skip
    page = opened(visitor, f"{site.url('/shadow')}?ct_click={CLICK}")
    page.run("d.shadowRoot.querySelector('a').click()")
    assert page.run("d.shadowRoot.querySelector('a').href").endswith(f"ct_click={CLICK}")


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_form_sent_to_the_other_domain_carries_the_click(site: Site, visitor: Visitor, method: str) -> None:
    # Fields named like properties of a form hide these from scripts: `form.action` is an element here.
    fields = '<input name="action" value="1"><input name="method"><input name="id"><button id="send">send</button>'
    site.page(f"/{method}-target")
    site.page(f"/{method}", f'<form method="{method}" action="https://{site.pay}/{method}-target?q=1">{fields}</form>')
    page = opened(visitor, f"{site.url(f'/{method}')}?ct_click={CLICK}")
    page.press("#send")
    assert arrived(page, site.pay) == CLICK
    [sent] = [request for request in site.web.requests if request[1].startswith(f"/{method}-target")]
    assert (sent[0].lower(), f"ct_click={CLICK}" in sent[1]) == (method, True)
    assert "ct_click" not in sent[2], "a posted form gets no field of ours"


def test_a_form_to_the_own_domain_is_left_alone(site: Site, visitor: Visitor) -> None:
    site.page("/own", '<form action="/own-target"><button id="send">send</button></form>')
    site.page("/own-target")
    page = opened(visitor, f"{site.url('/own')}?ct_click={CLICK}")
    page.press("#send")
    page.until("location.pathname == '/own-target'")
    assert [request[1] for request in site.web.requests if request[1].startswith("/own-target")] == ["/own-target?"]


def test_a_script_can_have_an_address_decorated(site: Site, visitor: Visitor) -> None:
    page = opened(visitor, f"{site.url('/p')}?ct_click={CLICK}")
    assert page.run(f"clicktrace.decorate('https://{site.pay}/x')") == f"https://{site.pay}/x?ct_click={CLICK}"
    assert page.run("['/x', '', 'http://[', 'https://foreign.test/'].map(clicktrace.decorate)") == [
        "/x",
        "",
        "http://[",
        "https://foreign.test/",
    ]
    page.run("clicktrace.consent(false)")
    assert page.run(f"clicktrace.decorate('https://{site.pay}/x')") == f"https://{site.pay}/x"
