"""One spelling of a page for clicks, touches, conversions and spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pages import MAX_PAGE_CHARS, normalise_page


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://shop.example/spring", "shop.example/spring"),
        ("https://Shop.EXAMPLE/Spring/", "shop.example/Spring"),
        ("http://shop.example:80/a/b//?x=1#y", "shop.example/a/b"),
        ("https://shop.example:443", "shop.example"),
        ("https://shop.example/", "shop.example"),
        ("https://shop.example?x=1", "shop.example"),
        ("https://shop.example#top", "shop.example"),
        ("https://user:secret@shop.example/p", "shop.example/p"),
        ("http://127.0.0.1:9000/p", "127.0.0.1:9000/p"),
        ("http://[::1]:9000/p", "[::1]:9000/p"),
        ("//shop.example/p", "shop.example/p"),
        ("shop.example/p", "shop.example/p"),
        ("shop.example./p", "shop.example/p"),
        ("https://shop.example/go?to=https://other.example/x", "shop.example/go"),
        ("https://shop.example/https://other.example/x", "shop.example/https://other.example/x"),
        ("https://shop.example/a%2Fb", "shop.example/a%2Fb"),
        ("", ""),
        ("/only/a/path", ""),
        ("https://", ""),
        ("not a url", ""),
    ],
)
def test_page_of_a_url(url: str, page: str) -> None:
    assert normalise_page(url) == page


@given(st.text(max_size=800))
def test_a_page_is_bounded_and_its_own_normal_form(url: str) -> None:
    page = normalise_page(url)
    assert len(page) <= MAX_PAGE_CHARS
    assert "?" not in page
    assert "#" not in page


@given(st.from_regex(r"https?://[a-z]{1,10}\.example(:[0-9]{4})?(/[A-Za-z0-9]{1,8}){0,3}/?", fullmatch=True))
def test_normalising_twice_changes_nothing(url: str) -> None:
    assert normalise_page(normalise_page(url)) == normalise_page(url)
