"""Links as files: there and back without a loss, and every way a file can be wrong, by line and with a way to mend it."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from redirect.links.model import LinkDefinition, definition_from
from redirect.links.transfer import FORMATS, Format, parse_renames, read, write

from .any_link import many_links, notes

SHOP = "https://shop.example/p"


def lines(text: str, kind: Format, **renames: str) -> list[Any]:
    return list(read(io.StringIO(text, newline=""), kind, renames=renames))


@pytest.mark.parametrize("kind", FORMATS)
@given(many=many_links)
@settings(max_examples=60, deadline=None)
def test_reading_what_was_written_gives_the_same_links(kind: Format, many: list[LinkDefinition]) -> None:
    text = b"".join(write(many, kind)).decode()
    back = lines(text, kind)
    assert [line.problem for line in back] == [None] * len(many)
    assert [definition_from(line.values) for line in back] == many
    assert all(set(line.values) == set(LinkDefinition.__struct_fields__) for line in back)


@given(note=notes)
@settings(max_examples=200, deadline=None)
def test_no_cell_of_a_csv_file_begins_like_a_formula(note: str) -> None:
    link = LinkDefinition(slug="-x", destination=SHOP, note=note, client="@a", tags=("=1+1", "+b"))
    [_, row] = csv.reader(io.StringIO(b"".join(write([link], "csv")).decode(), newline=""))
    assert [cell for cell in row if cell[:1] in set("=+-@\t\r\n＝＋－＠")] == []


@pytest.mark.parametrize(
    ("note", "cell"),
    [("=1", "'=1"), ("'=1", "''=1"), ("''=1", "'''=1"), ("'", "'"), ("'s", "'s"), ("''", "''"), ("", ""), ("a=1", "a=1")],
)  # fmt: skip
def test_an_apostrophe_is_added_only_where_it_is_needed(note: str, cell: str) -> None:
    [_, row] = csv.reader(
        io.StringIO(b"".join(write([LinkDefinition(slug="a", destination=SHOP, note=note)], "csv")).decode())
    )
    assert row[LinkDefinition.__struct_fields__.index("note")] == cell


@given(text=st.text(max_size=200), kind=st.sampled_from(FORMATS))
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_file_is_read_or_refused_with_a_word(text: str, kind: Format) -> None:
    assert whole_file(text, kind) in ("", "empty", "malformed", "unknown_column", "missing_column")


def whole_file(text: str, kind: Format) -> str:
    """Why a file is refused as a whole, "" when it is read."""
    try:
        lines(text, kind)
    except Invalid as refusal:
        return refusal.reason
    return ""


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "empty", "names the columns"),
        ("slug,destinatoin\na,b\n", "unknown_column", "map=destinatoin=destination"),
        ("destination\nb\n", "missing_column", "map=theirs=slug"),
        ("slug,note,note\na,b,c\n", "unknown_column", "two columns"),
    ],
)
def test_a_csv_file_with_a_wrong_header_is_refused_as_a_whole(text: str, reason: str, hint: str) -> None:
    with pytest.raises(Invalid) as refusal:
        lines(text, "csv")
    assert (refusal.value.reason, hint in refusal.value.detail) == (reason, True)


@pytest.mark.parametrize(
    ("cell", "column", "reason", "hint"),
    [
        ("perhaps", "disabled", "disabled", "true or false"),
        ("many", "max_clicks", "max_clicks", "whole number"),
        ("-1", "max_clicks", "max_clicks", "whole number"),
        ("{", "rules", "rules", "not JSON"),
        ("[" * 100_000, "variants", "variants", "not JSON"),
        ("a,b", "note", "cells", "3 cells, but 2 columns"),
    ],
)
def test_a_wrong_cell_is_refused_with_its_line(cell: str, column: str, reason: str, hint: str) -> None:
    first, second, third = lines(f"slug,{column}\ngood,\nbad,{cell}\nlast,\n", "csv")
    assert (first.problem, third.problem) == (None, None)
    assert (second.number, second.problem.reason, hint in second.problem.detail) == (3, reason, True)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = 'slug,note\r\na,"one\r\ntwo\r\nthree"\r\n\r\nb,\r\n"c'
    assert [(line.number, bool(line.problem)) for line in lines(text, "csv")] == [(2, False), (6, False), (7, True)]


def test_spreadsheets_may_write_semicolons_a_mark_and_capital_letters() -> None:
    [line] = lines("\ufeffslug;disabled;tags;max_clicks\r\na;TRUE;x, y;7\r\n", "csv")
    assert line.values == {"slug": "a", "disabled": True, "tags": ["x", "y"], "max_clicks": 7}


def test_columns_are_renamed_and_left_out() -> None:
    [line] = lines(
        "Short,Ziel,Owner,link_id\na,b,c,d\n", "csv", **parse_renames(["Short=slug", "Ziel=destination", "Owner="])
    )
    assert line.values == {"slug": "a", "destination": "b"}
    with pytest.raises(Invalid, match="map"):
        parse_renames(["Ziel=nowhere"])


def test_json_may_be_an_array_an_answer_of_the_api_or_one_link() -> None:
    link = {"slug": "a", "destination": SHOP, "link_id": "1", "note": None}
    for whole in ([link], {"links": [link], "next": None}, link):
        [line] = lines(msgspec.json.encode(whole).decode(), "json")
        assert line.values == {"slug": "a", "destination": SHOP}, "null says nothing"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('[\n{"slug": "a"},\n{"slug": "b", "colour": 1}\n]', [None, (3, "unknown_field")]),
        ('[{"slug": "a"},\n1]', [None, (2, "malformed")]),
        ('[{"slug": "a"},\n]', [(1, "malformed")]),
        ('[{"slug": "a"}\n{"slug": "b"}]', [(1, "malformed")]),
        ('[{"slug": "a"},\n\n{"slug": ', [None, (3, "malformed")]),
        ("[" * 100_000, [(1, "malformed")]),
        (f'[{{"max_clicks": {"9" * 5000}}}]', [(1, "malformed")]),
        ("[]", []),
        (" [ ] ", []),
    ],
)
def test_a_wrong_link_in_an_array_is_named_by_its_line(text: str, numbers: list[Any]) -> None:
    found = [line.problem and (line.number, line.problem.reason) for line in lines(text, "json")]
    assert found == numbers


def test_a_wrong_line_of_ndjson_stops_none_of_the_others() -> None:
    found = lines('{"slug": "a"}\n\nnonsense\n{"slug": "b"}', "ndjson")
    assert [(line.number, bool(line.problem)) for line in found] == [(1, False), (3, True), (4, False)]
