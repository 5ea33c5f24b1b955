"""Reading a query: what is recorded, what is passed on; whatever the bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity import derive_from_query, derive_from_values, percent_decode
from redirect import params

QUERIES = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.tuples(
            st.sampled_from([b"gclid", b"fbclid", b"utm_source", b"ct_campaign", b"ct_click", b"email", b"Email", b"a", b"own", b""]),
            st.binary(max_size=20),
        ),
        max_size=8,
    ).map(lambda pairs: b"&".join(name + b"=" + value for name, value in pairs)),
)  # fmt: skip


def read(query: bytes, *, own: frozenset[bytes] = frozenset(), pass_personal: bool = False) -> params.Parameters:
    return params.read(query, own=own, pass_personal=pass_personal)


@given(QUERIES)
def test_what_is_passed_on_can_never_leave_its_header_line(query: bytes) -> None:
    passed = read(query).passed
    assert not passed.translate(None, params._SAFE)


@given(QUERIES)
def test_our_own_and_personal_parameters_never_get_through(query: bytes) -> None:
    names = [pair.partition(b"=")[0] for pair in read(query).passed.split(b"&")]
    assert not {b"ct_campaign", b"ct_click", b"email", b"Email"} & set(names)


@given(QUERIES)
def test_the_links_own_parameters_win(query: bytes) -> None:
    names = [pair.partition(b"=")[0] for pair in read(query, own=frozenset((b"own", b"a"))).passed.split(b"&")]
    assert b"own" not in names
    assert b"a" not in names


@given(QUERIES.filter(lambda query: not query.translate(None, params._SAFE)))
def test_the_redirect_derives_what_the_page_derives(query: bytes) -> None:
    """One pass over the query must agree with core.identity, which the snippet's vectors hold."""
    assert derive_from_values(read(query).ids) == derive_from_query(query)


@given(st.lists(st.sampled_from([b"a=1", b"b=", b"c", b"d=%20x", b"e=a=b"]), max_size=6))
def test_harmless_parameters_are_passed_on_as_written_and_in_order(pairs: list[bytes]) -> None:
    assert read(b"&".join(pairs)).passed == b"&".join(pairs)


def test_unsafe_bytes_are_percent_encoded() -> None:
    assert read(b'q="<\\>\xc3\xa4').passed == b"q=%22%3C%5C%3E%C3%A4"


@pytest.mark.parametrize("raw", [b"%", b"sale=50%", b"q=%zz%4", b"gclid=a%%41", b"q=100%25"])
def test_a_lone_percent_sign_is_passed_on_so_that_it_decodes_to_the_same(raw: bytes) -> None:
    passed = read(raw).passed
    assert percent_decode(passed) == percent_decode(raw)
    assert re.fullmatch(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", passed)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"spring", "spring"),
        (b"a+b", "a b"),
        (b"%C3%A4", "ä"),
        (b"{campaign}", ""),
        (b"", ""),
        (b"eva%40x.example", ""),
    ],
)
def test_utm_values_are_texts_without_macros_and_addresses(value: bytes, kept: str) -> None:
    assert read(b"utm_campaign=" + value).utm.get("utm_campaign", "") == kept


def test_the_first_of_two_values_counts() -> None:
    found = read(b"utm_source=a&utm_source=b&ct_keyword=x&ct_keyword=y&ct_consent=no&ct_consent=yes")
    assert found.utm == {"utm_source": "a"}
    assert found.values[b"ct_keyword"] == b"x"
    assert found.consent == b"no"


def test_a_recorded_text_is_bounded() -> None:
    assert len(read(b"utm_term=" + b"x" * 5000).utm["utm_term"]) == params.MAX_TEXT


@pytest.mark.parametrize(
    ("query", "passed", "gclid"),
    [
        (b"a=1?gclid=x", b"a=1&gclid=x", b"x"),
        (b"?gclid=x", b"gclid=x", b"x"),
        (b"a=1??gclid=x", b"a=1?&gclid=x", b"x"),
        (b"a=1?b=2?gclid=x&c=3", b"a=1&b=2&gclid=x&c=3", b"x"),
        (b"a=1?gclid=x&gclid=y", b"a=1&gclid=x&gclid=y", b"x"),
        (b"gclid=x?ct_campaign=google:1:2", b"gclid=x", b"x"),
        (b"a=1?email=eva@x.example&gclid=x", b"a=1&gclid=x", b"x"),
        (b"q=really?&gclid=x", b"q=really?&gclid=x", b"x"),
        (b"q=a?b&gclid=x", b"q=a?b&gclid=x", b"x"),
        (b"u=https://x.example/?b=2&gclid=x", b"u=https://x.example/?b=2&gclid=x", b"x"),
        (b"u=https://x.example/?gclid=in&gclid=out", b"u=https://x.example/?gclid=in&gclid=out", b"in"),
        (b"ct_lpurl=https://x.example/?gclid=in&gclid=out", b"gclid=out", b"out"),
    ],
)
def test_a_doubled_question_mark_is_repaired_and_a_meant_one_is_left(query: bytes, passed: bytes, gclid: bytes) -> None:
    found = read(query)
    assert (found.passed, found.ids) == (passed, {b"gclid": gclid})


@given(st.text(alphabet="?&=/ab", max_size=30).map(lambda tail: b"x=1" + tail.encode()))
def test_the_page_derives_the_same_click_from_what_is_passed_on(query: bytes) -> None:
    query = query.replace(b"a", b"gclid").replace(b"b", b"fbclid")
    found = read(query)
    assert derive_from_values(found.ids) == derive_from_query(query) == derive_from_query(found.passed)


@pytest.mark.parametrize("spelling", [b"own", b"o%77n", b"%6F%77%6e"])
def test_no_spelling_of_a_name_gets_past_the_links_own_value(spelling: bytes) -> None:
    own = frozenset((b"own",))
    assert read(spelling + b"=evil&a=1", own=own).passed == b"a=1"
    assert params.without(spelling + b"=evil&a=1", own) == b"a=1"
