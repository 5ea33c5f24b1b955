"""Links as JSON (an array) and NDJSON (one a line)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from core.errors import Invalid
from redirect.links.file_lines import FIELDS, READ_ONLY, Line, decoded, no_field
from redirect.links.model import LinkDefinition

_SPACE: Final = re.compile(r"[ \t\r\n]*")


def all_fields(definition: LinkDefinition) -> dict[str, Any]:
    """A definition as JSON with every field, defaults too: what is written down changes what has changed meanwhile."""
    return {name: msgspec.to_builtins(getattr(definition, name)) for name in FIELDS}


def write_json(links: Iterable[LinkDefinition]) -> Iterator[bytes]:
    """An array with a link on each line."""
    before = b"[\n"
    for definition in links:
        yield before + msgspec.json.encode(all_fields(definition))
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def write_ndjson(links: Iterable[LinkDefinition]) -> Iterator[bytes]:
    """A link on each line."""
    for definition in links:
        yield msgspec.json.encode(all_fields(definition)) + b"\n"


def read_ndjson(lines: Iterable[str], renames: Mapping[str, str]) -> Iterator[Line]:
    """Links of lines; a line that is no JSON stops none of the others."""
    for number, text in enumerate(lines, 1):
        text = text.removeprefix("\ufeff") if number == 1 else text
        if text.strip():
            try:
                yield _line_of_object(number, decoded("malformed", text), renames)
            except Invalid as problem:
                yield Line(number=number, problem=problem)


def read_json(text: str, renames: Mapping[str, str]) -> Iterator[Line]:
    """An array of links, ``{"links": [...]}`` as the API answers it, or one link.

    Raises:
        Invalid: `malformed`.
    """
    start = _after_space(text, 1 if text.startswith("\ufeff") else 0)
    if text[start : start + 1] == "[":
        yield from _read_array(text, start + 1, renames)
        return
    whole = decoded("malformed", text[start:])
    if isinstance(whole, dict) and isinstance(whole.get("links"), list):
        yield from (_line_of_object(1, value, renames) for value in whole["links"])
    else:
        yield _line_of_object(1, whole, renames)


def _read_array(text: str, at: int, renames: Mapping[str, str]) -> Iterator[Line]:
    """Item by item, so that each is known by its line; after what is no JSON, nothing can be read."""
    decoder = json.JSONDecoder()
    at, counted, number = _after_space(text, at), 0, 1
    while text[at : at + 1] != "]":
        number, counted = number + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
            at = _next_item(text, at)
        except (ValueError, RecursionError) as error:
            problem = Invalid("malformed", f"this is not JSON: {error}. The rest of the file was not read")
            yield Line(number=number, problem=problem)
            return
        yield _line_of_object(number, value, renames)


def _next_item(text: str, at: int) -> int:
    """Where the next item, or the end of the array, stands.

    Raises:
        ValueError: neither a comma with an item behind it nor the end follows.
    """
    at = _after_space(text, at)
    if text[at : at + 1] == "]" and not text[at + 1 :].strip():
        return at
    behind = _after_space(text, at + 1)
    if text[at : at + 1] != "," or text[behind : behind + 1] in ("]", ""):
        raise ValueError("a comma and a link, or the end of the array, should follow")
    return behind


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _line_of_object(number: int, value: Any, renames: Mapping[str, str]) -> Line:
    if not isinstance(value, dict):
        return Line(number=number, problem=Invalid("malformed", "a link is a JSON object"))
    named = ((renames.get(name, name), each) for name, each in value.items())
    values = {name: each for name, each in named if name and each is not None}
    unknown = next((name for name in values if name not in FIELDS and name not in READ_ONLY), None)
    if unknown is not None:
        return Line(number=number, problem=Invalid("unknown_field", no_field(unknown)))
    return Line(number=number, values={name: each for name, each in values.items() if name in FIELDS})
