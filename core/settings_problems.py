"""What is wrong with settings, in words that say how to mend it and never show a value: it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.near import hint, nearest

Path = tuple[int | str, ...]

#: A name that stands in more sections than this is no hint at any of them.
MOST_ELSEWHERE: Final = 3

_LIST: Final = "must be a list: write [a, b], or each item on a line of its own that begins with -"
_SECTION: Final = "must be a section: write its fields as `name: value`, indented, one on a line"
_NUMBER: Final = "must be a number"
_WHOLE: Final = "must be a whole number"
_TRUTH: Final = "must be true or false"

#: pydantic's error types (https://docs.pydantic.dev/latest/errors/validation_errors/) in our words.
_WORDS: Final[Mapping[str, str]] = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": f"{_WHOLE} of fewer digits",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "path_type": "must be a path",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _SECTION,
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} items",
    "datetime_type": "must be a time, e.g. 2026-09-01T10:00:00Z",
    "datetime_parsing": "must be a time, e.g. 2026-09-01T10:00:00Z",
    "datetime_from_date_parsing": "must be a time, e.g. 2026-09-01T10:00:00Z",
    "timezone_aware": "must name its zone, e.g. 2026-09-01T10:00:00Z",
}
_CHOICES = re.compile(r"\^?\(?\^?([\w|]+\|[\w|]+)\)?\$?")
_PATTERNS: Final[Mapping[str, str]] = {
    "[A-Z]{3}": "three capital letters, e.g. EUR",
    r"\d": "digits only",
    "[0-9]": "digits only",
    r"[\w.-]+/[\w.-]+": "two names with a slash between, e.g. owner/name",
}


def sentences(error: ValidationError, model: type[BaseModel], where: Callable[[Path], str]) -> list[str]:
    """Each problem once: ``field: what to do (where it stands)``.

    Args:
        error: what pydantic found.
        model: what was read.
        where: file and line, or environment variable, of a place; "" when not known.
    """
    found: dict[str, None] = {}  # a set that keeps its order: alternatives of one field often say the same
    for each in error.errors(include_url=False, include_context=True):
        path = _plain(model, each["loc"])
        at = where(path)
        name = ".".join(str(part) for part in path) or "settings"
        found[f"{name}: {_words(each, model, path)}{f' ({at})' if at else ''}"] = None
    return list(found)


def unknown(name: str, section: type[BaseModel], root: type[BaseModel]) -> str:
    """What to say of a field that does not exist in `section`: the same name elsewhere, the nearest here, or all names here."""
    elsewhere = [".".join(path) for path in leaves(root) if path[-1] == name]
    if 0 < len(elsewhere) <= MOST_ELSEWHERE:
        return f"there is no such setting; there is {' and '.join(elsewhere)}"
    known = {info.alias or field for field, info in section.model_fields.items()}
    return f"there is no such setting{hint(name, known)}"


def leaves(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The path of every field that is not a section itself; a list's fields are not among them."""
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from ((name, *path) for path in leaves(section))
        else:
            yield (name,)


def _words(error: ErrorDetails, model: type[BaseModel], path: Path) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return unknown(str(path[-1]), _section(model, path), model)
        case "missing":
            return "is missing" + _about(model, path)
        case "string_type":
            return _not_text(error["input"])
        case "literal_error":
            return _choice(re.findall(r"'([^']*)'", str(context["expected"])), error["input"])
        case "string_pattern_mismatch":
            pattern = str(context["pattern"])
            if choices := _CHOICES.fullmatch(pattern):
                return _choice(choices[1].split("|"), error["input"])
            return _pattern(pattern) + _about(model, path)
        case "string_too_short" | "too_short":
            return "must not be empty" + _about(model, path)
        case "value_error" | "assertion_error":
            return error["msg"].partition(", ")[2] or error["msg"]
        case kind if kind in _WORDS:
            return _WORDS[kind].format_map(context)
    return error["msg"][:1].lower() + error["msg"][1:]


def _not_text(value: object) -> str:
    """YAML makes numbers, truths and dates of what looks like them: account IDs, `no`, days."""
    if value is None:
        return "must be text: it is empty; write it, or leave the line out"
    return _LIST if isinstance(value, list) and not value else "must be text: put it in quotes"


def _choice(known: Sequence[str], value: object) -> str:
    near = nearest(value, known) if isinstance(value, str) else ""
    words = f"{', '.join(known[:-1])} or {known[-1]}" if len(known) > 1 else "".join(known)
    return f"must be {words}" + (f"; did you mean {near}?" if near else "")


def _pattern(pattern: str) -> str:
    said = next((words for part, words in _PATTERNS.items() if part in pattern), f"of the form {pattern}")
    return f"must be {said}"


def _about(model: type[BaseModel], path: Path) -> str:
    """The field's own description, where it has one."""
    parent = _section(model, path)
    info = parent.model_fields.get(str(path[-1])) if path else None
    return f": {info.description.rstrip('.')}" if info is not None and info.description else ""


def _section(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The section that a path's last part stands in."""
    current: Any = model
    for part in path[:-1]:
        current = _inside(current, part)
    return next((each for each in _alternatives(current) if _is_section(each)), model)


def _plain(model: type[BaseModel], location: Sequence[int | str]) -> Path:
    """A location without what pydantic adds to it: which alternative of a union it tried, and that a key was meant."""
    path: list[int | str] = []
    current: Any = model
    for index, part in enumerate(location):
        inside = _inside(current, part)
        last_of_section = index == len(location) - 1 and any(_is_section(each) for each in _alternatives(current))
        if inside is None and not last_of_section:
            continue
        path.append(part)
        current = inside
    return tuple(path)


def _inside(annotation: Any, part: int | str) -> Any | None:
    """What stands at `part` of something declared so, or None."""
    for each in _alternatives(annotation):
        if _is_section(each):
            for name, info in each.model_fields.items():
                if part in (name, info.alias):
                    return info.annotation
        origin, arguments = get_origin(each), get_args(each)
        if origin is dict and isinstance(part, str) and part != "[key]":
            return arguments[1]
        if origin in (list, tuple) and isinstance(part, int):
            return arguments[0]
    return None


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return tuple(each for each in get_args(annotation) if each is not NoneType)
    return (annotation,)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
