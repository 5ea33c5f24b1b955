"""A YAML file that people write by hand: its values, the line each stands in, and what is wrong in words that say how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

Where = tuple[int | str, ...]

#: What PyYAML's words mean for whoever wrote the line.
_MEANT = {
    "mapping values are not allowed": "put a value that contains ': ' in quotes, or indent the line as its neighbours",
    "could not find expected ':'": "write `name: value`",
    "found character '\\t'": "indent with spaces, not tabs",
    "that cannot start any token": "put the value in quotes",
    "expected <block end>": "indent the line as its neighbours",
    "expected ',' or": "close the bracket that is open",
    "did not find expected": "indent the line as its neighbours",
    "while scanning a quoted scalar": "close the quotes that are open",
    "another document": "keep one: leave out the line of ---",
    "found unexpected end of stream": "close the quotes or the bracket that is open",
}


class YamlFile(msgspec.Struct, frozen=True):
    """What a file says. `values` is empty when it cannot be read; `lines` has a line number for each place, from 1."""

    name: str
    values: dict[str, Any] = {}
    lines: dict[Where, int] = {}
    problems: list[str] = []

    def line(self, path: Where) -> str:
        """ "line 12" of a place, or of the nearest thing around it; "" when there is none."""
        found = next(
            (self.lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.lines), 0
        )
        return f"line {found}" if found else ""

    def where(self, path: Where) -> str:
        """The same with the file's name."""
        line = self.line(path)
        return f"{self.name} {line}" if line else ""


def read_yaml(path: Path, *, called: str = "", expected: str) -> YamlFile:
    """Read a mapping. What is wrong stands in `problems`, each a sentence that names the file.

    Args:
        path: the file.
        called: what the sentences call it; default its path.
        expected: what the file should hold, for the sentence when it is something else.
    """
    name = called or str(path)
    try:
        return _understood(path.read_text("utf-8-sig"), name, expected)
    except OSError as error:
        return YamlFile(name, problems=[f"{name}: cannot be read: {error.strerror}"])
    except UnicodeDecodeError:
        return YamlFile(name, problems=[f"{name}: not YAML: save it as UTF-8 text"])
    except yaml.MarkedYAMLError as error:
        return YamlFile(name, problems=[_not_yaml(error, name)])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return YamlFile(name, problems=[f"{name}: not YAML: {' '.join(str(error).split())}"])


def _understood(text: str, name: str, expected: str) -> YamlFile:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return YamlFile(name)
        # Before the values are made: merge keys still stand where they were written, and names can stay what was written.
        places = list(_places(node, (), set()))
        values = loader.construct_document(node)
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        return YamlFile(name, problems=[f"{name}: expected {expected}, found {_kind(values)}"])
    return YamlFile(name, values, dict(places), _twice(places, name))


def _twice(places: list[tuple[Where, int]], name: str) -> list[str]:
    """Names that stand twice in one place: YAML takes the last one silently."""
    lines: dict[Where, int] = {}
    problems: dict[Where, str] = {}
    for path, line in places:
        if path in lines and not any(path[:length] in problems for length in range(len(path))):
            dotted = ".".join(str(part) for part in path)
            problems[path] = f"{dotted}: stands twice, on line {lines[path]} and line {line} of {name}: keep one"
        lines[path] = line
    return list(problems.values())


def _places(node: yaml.Node, path: Where, seen: set[int]) -> Iterator[tuple[Where, int]]:
    """Every key and item with its line. What an alias repeats is told once, where it is written out.

    A name is text, whatever it looks like: YAML would make a truth of `on` and a number of `1`.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
                yield (*path, key.value), key.start_mark.line + 1
                yield from _places(value, (*path, key.value), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _places(item, (*path, index), seen)


def _not_yaml(error: yaml.MarkedYAMLError, name: str) -> str:
    """One sentence. PyYAML's own text quotes the line, which may hold a secret."""
    mark = error.problem_mark or error.context_mark
    at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    said = (error.problem or error.context or "it cannot be understood").removeprefix("but ")
    both = f"{error.context or ''} {said}"
    mend = next((words for problem, words in _MEANT.items() if problem in both), "")
    return f"{name}: not YAML{at}: {said}{f'; {mend}' if mend else ''}"


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "a single value"
