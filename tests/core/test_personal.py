"""E-mail addresses are recognised in every spelling in which they arrive."""

from __future__ import annotations

import time

import pytest

from core.pages import normalise_page
from core.personal import holds_email


@pytest.mark.parametrize(
    "text",
    [
        "eva@x.example",
        "EVA.M+tag@mail.x.example",
        "contact eva@x.example now",
        "eva%40x.example",
        "eva%2540x.example",
        "eva%252540x%2Eexample",
        "eva＠x.example",
        "eva﹫x。example",
        "https://x.example/?to=eva@x.example",
        "mailto:eva@x.example?subject=y",
        "éva@x.example",
        "/u/eva@x.example/orders",
    ],
)
def test_an_address_is_recognised(text: str) -> None:
    assert holds_email(text)


@pytest.mark.parametrize(
    "text", ["", "spring", "a@b", "@handle", "50% off.", "a @ b.c", "v1.2", "price 3@4", "%40", "x%40"]
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert not holds_email(text)


@pytest.mark.parametrize("text", ["a@" * 4000, "a%40" * 2000, "%" * 8000, "a@b" * 3000, "%2540" * 1600])
def test_a_hostile_text_costs_little_time(text: str) -> None:
    started = time.process_time()
    holds_email(text)
    assert time.process_time() - started < 0.25


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://shop.example/u/eva@x.example/orders", "shop.example/u/:email/orders"),
        ("https://shop.example/u/eva%40x.example", "shop.example/u/:email"),
        ("https://shop.example/@handle", "shop.example/@handle"),
        ("https://shop.example/p?mail=eva@x.example", "shop.example/p"),
    ],
)
def test_a_page_is_recorded_without_the_address_in_its_path(url: str, page: str) -> None:
    assert normalise_page(url) == page
