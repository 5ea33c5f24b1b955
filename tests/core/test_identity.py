"""Click identity in Python, by the vectors that the browser snippet must meet, too (tests/redirect/snippet)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import identity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "identity.json").read_text("utf-8")
)["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["title"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    derived = identity.derive_from_query(vector["query"].encode())
    expected = (vector["click_id"], vector["parameter"]) if vector["click_id"] else None
    assert derived == expected
    if derived:
        assert identity.root_span_id(derived[0]) == vector["root_span_id"]


def test_the_vectors_have_both_kinds_and_no_title_twice() -> None:
    assert len({vector["title"] for vector in VECTORS}) == len(VECTORS)
    assert {vector["click_id"] is None for vector in VECTORS} == {True, False}


def test_an_all_zero_result_becomes_one() -> None:
    assert identity.nonzero_hex(bytes(16)) == "00000000000000000000000000000001"
    assert identity.nonzero_hex(bytes(8)) == "0000000000000001"
    assert identity.nonzero_hex(b"\x00" * 7 + b"\x02") == "0000000000000002"


def test_a_random_click_id_is_a_trace_id_and_new_every_time() -> None:
    ids = {identity.random_click_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(identity.is_click_id(one) for one in ids)


@pytest.mark.parametrize("text", ["", "0" * 32, "A" * 32, "a" * 31, "a" * 33, "g" * 32, "a" * 31 + " ", "a" * 31 + "é"])
def test_what_is_no_click_id_is_told_apart(text: str) -> None:
    assert not identity.is_click_id(text)


@given(st.binary(max_size=600))
def test_decoding_undoes_encoding_whatever_the_bytes(raw: bytes) -> None:
    assert identity.percent_decode(quote_from_bytes(raw, safe="").encode()) == raw


@given(st.binary(max_size=600))
def test_decoding_never_fails_and_never_grows(raw: bytes) -> None:
    assert len(identity.percent_decode(raw)) <= len(raw)


@given(st.binary(max_size=2000))
def test_any_query_gives_a_valid_click_id_or_none(query: bytes) -> None:
    derived = identity.derive_from_query(query)
    assert derived is None or identity.is_click_id(derived[0])


@pytest.mark.parametrize("identifier", ["", "google", "google:1", "google:1:", ":1:2", "google::2", "a:b:c:d"])
def test_an_unqualified_id_is_refused(identifier: str) -> None:
    assert not identity.is_qualified(identifier)
    with pytest.raises(ValueError, match="not qualified"):
        identity.split_qualified(identifier)


def test_a_qualified_id_can_be_taken_apart_again() -> None:
    assert identity.split_qualified(identity.qualified("google", "1", "2")) == ("google", "1", "2")
