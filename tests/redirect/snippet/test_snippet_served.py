"""`/ct.js` as it is served: small, cached, and the same script as its source."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from redirect.snippet.load import SOURCE, load_snippet
from redirect.snippet.minify import minify

from ..live_worker import ThreadWorker, link

Start = Callable[..., ThreadWorker]


def test_it_is_under_five_kilobytes_as_served(start_worker: Start) -> None:
    worker = start_worker(link(), sites=["shop.example", "www.shop.example", "pay.example"])
    assert len(worker.get("/ct.js").body) < 5_000


def test_it_names_its_sites() -> None:
    snippet = load_snippet(["shop.example", "pay.example"])
    assert b'"shop.example pay.example"' in snippet.body
    assert snippet.etag != load_snippet([]).etag


def test_it_is_cached_and_revalidated(worker: ThreadWorker) -> None:
    first = worker.get("/ct.js")
    assert (first.status, first.headers["cache-control"]) == (200, "public, max-age=3600")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    again = worker.get("/ct.js", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert worker.connect().request("POST", "/ct.js").status == 405


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("let $one = 1, $two = $one;", "let a=1,b=a;"),
        ("f(_a);\n\nf(_b);", "f(a);f(a);"),
        ("f($a, _x);\n\nf($a, _y);", "f(a,b);f(a,b);"),
        ('f("_x $y  z", /_x [ ]/, _x / _y / 2);', 'f("_x $y  z",/_x [ ]/,a/b/2);'),
        ("/* _x\n\n */ return _x; /* end */", "return a;"),
        ("a + +_b - -_c", "a+ +a- -b"),
        ("if (_a) { f(); }", "if(a){f()}"),
        ("$a => /[/]/.test($a);", "a=>/[/]/.test(a);"),
    ],
)
def test_the_shortened_script_says_the_same(source: str, short: str) -> None:
    assert minify(source) == short


def test_names_of_the_source_keep_to_the_rules_of_its_shortening() -> None:
    """A name of one paragraph that two paragraphs of the script declare would silently be two variables."""
    source = re.sub(r"/\*.*?\*/", "", SOURCE.read_text("utf-8"), flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", source):
        used = set(re.findall(r"(?<![\w$.])_[a-z]\w*", paragraph))
        declared = set(
            re.findall(r"(?:let |, |\(|\.\.\.|\[|^|\s)(_[a-z]\w*)(?=\s*(?:=|,|\)|;|\]|$| of| in))", paragraph)
        )
        assert used <= declared, f"{used - declared} stand in a paragraph that does not declare them"
