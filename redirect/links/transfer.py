"""Links as files, written so that reading them gives the same links again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, get_args

from core.errors import Invalid
from redirect.links.csv_format import read_csv, write_csv
from redirect.links.file_lines import FIELDS, Line
from redirect.links.json_format import read_json, read_ndjson, write_json, write_ndjson
from redirect.links.model import LinkDefinition

Format = Literal["csv", "json", "ndjson"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MEDIA_TYPES: Final[dict[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
}
#: What is sent at once: a server hands each block from thread to thread.
BLOCK_BYTES: Final = 2**16


def write(links: Iterable[LinkDefinition], kind: Format) -> Iterator[bytes]:
    """The links as a file, block by block."""
    pieces = {"csv": write_csv, "json": write_json, "ndjson": write_ndjson}[kind](links)
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def read(file: Iterable[str], kind: Format, *, renames: Mapping[str, str] | None = None) -> Iterator[Line]:
    """The links of a file's lines, with the number of the line on which each begins.

    Args:
        file: lines with their ends, such as an open text file (newline="").
        renames: their name -> ours; "" leaves theirs out.

    Raises:
        Invalid: `empty`, `malformed`, `unknown_column`, `missing_column`: the file as a whole cannot be read.
    """
    readers: dict[Format, Callable[[Iterable[str]], Iterator[Line]]] = {
        "csv": lambda lines: read_csv(lines, renames or {}),
        "json": lambda lines: read_json("".join(lines), renames or {}),
        "ndjson": lambda lines: read_ndjson(lines, renames or {}),
    }
    return readers[kind](file)


def parse_renames(given: Iterable[str]) -> dict[str, str]:
    """``theirs=ours`` each.

    Raises:
        Invalid: `map`.
    """
    renames = {}
    for text in given:
        theirs, separator, ours = text.partition("=")
        if not separator or not theirs or (ours and ours not in FIELDS):
            raise Invalid("map", f"{text!r}: write theirs=ours, where ours is one of {', '.join(FIELDS)}")
        renames[theirs] = ours
    return renames
