"""Hostile and odd spellings of destinations: refused by name, or brought to one normal form."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.destinations import AllowList, is_private, normalise
from core.errors import Invalid

from .spellings import ALLOWED, read_spellings, verdict

SPELLINGS = read_spellings()


@pytest.mark.parametrize("group", SPELLINGS)
def test_every_spelling_is_refused_by_its_word_or_has_its_normal_form(group: str) -> None:
    rows = SPELLINGS[group]
    assert [(spelling, verdict(spelling)) for spelling, _ in rows] == rows


def test_a_few_hundred_spellings_are_tried() -> None:
    assert sum(map(len, SPELLINGS.values())) > 600


@pytest.mark.parametrize("group", SPELLINGS)
def test_a_normal_form_is_its_own_normal_form(group: str) -> None:
    forms = {expected for _, expected in SPELLINGS[group] if expected.startswith("http")}
    assert {verdict(form) for form in forms} == forms


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/" + "a" * 2100,
        "https://shop.example/" + "ä" * 700,
        "https://shop.example/?" + "%" * 900,
        "https://shop.example/#" + "x" * 2100,
        "https://" + "a" * 3000,
        "a" * 5000,
    ],
    ids=range(6),
)
def test_a_long_destination_is_refused_as_written_and_as_rendered(url: str) -> None:
    assert verdict(url) == "destination_too_long"


def test_an_empty_allow_list_allows_nothing() -> None:
    with pytest.raises(Invalid, match="empty"):
        AllowList([]).check(normalise("https://shop.example/"))


@pytest.mark.parametrize("entry", ["https://shop.example", "shop.example/p", "a b", "", "*.", "user@shop.example", "*"])
def test_a_malformed_entry_is_refused_when_the_settings_are_read(entry: str) -> None:
    with pytest.raises(Invalid):
        AllowList([entry])


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://go.wide.example/spring", "destination_loop"),
        ("http://GO.wide.example./", "destination_loop"),
        ("http://localhost:8081/x", "destination_loop"),
        ("https://go.wide.example:8443/", "destination_not_allowed"),
        ("https://shop.wide.example/", None),
        ("http://localhost:9000/", None),
    ],
)
def test_no_link_leads_to_the_redirect_itself_whatever_the_list_says(url: str, word: str | None) -> None:
    entries = ["*.wide.example", "localhost:8081", "localhost:9000"]
    allowed = AllowList(entries, own=["Go.wide.example", "localhost:8081"])
    assert allowed.refusal(normalise(url)) == word


def test_public_addresses_are_no_private_ones() -> None:
    assert not is_private("93.184.216.34")
    assert not is_private("[2606:4700::1111]")
    assert not is_private("shop.example")


@given(st.one_of(st.text(max_size=80), st.from_regex(r"https?://[\w.@:%\\/?#\[\]-]{0,40}", fullmatch=True)))
@example("https://shop.example:443/%2e%2e//evil.example")
@example("https://shop.example/..//evil.example/")
def test_whatever_passes_is_on_the_list_by_any_reading(url: str) -> None:
    """A second parser must see the same host, and nothing in the normal form may end a header line."""
    try:
        destination = normalise(url)
        ALLOWED.check(destination)
    except Invalid:
        return
    rendered = destination.url
    assert normalise(rendered) == destination
    assert rendered.isascii()
    assert rendered.isprintable()
    assert " " not in rendered
    assert urlsplit(rendered).hostname == destination.host.strip("[]")
    assert urlsplit(rendered).username is None
