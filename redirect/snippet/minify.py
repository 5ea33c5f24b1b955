"""Shortens our own JavaScript: enough for `ct.js`, not for any script.

What the source keeps to: every name of its own begins with ``$`` (used in the whole script) or ``_`` (used between two empty lines
only) and a letter, and is used for nothing else; every statement ends with a semicolon; a regular expression follows one of
``( , = : ! & | ? ;`` or stands after an arrow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from string import ascii_letters

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<regex>(?<=[(,=:!&|?;>])\ ?/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)
      | (?P<name>[$_][A-Za-z]\w*)
      | (?P<space>\s+)
      | (?P<word>\w+)
      | (?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WORDS = frozenset(("name", "word"))
_SCRIPT_WIDE = "$"
#: Reserved words of two letters.
_RESERVED = frozenset(("as", "do", "if", "in", "of"))


def minify(source: str) -> str:
    """The same script without comments and blanks, and with its own names as short as they can be."""
    scopes = [list(_tokens(scope)) for scope in re.split(r"\n\s*\n", _COMMENT.sub("", source))]
    names = Counter(text for scope in scopes for kind, text in scope if kind == "name")
    wide = _shorten([name for name, _ in names.most_common() if name.startswith(_SCRIPT_WIDE)], taken=frozenset())
    return _join(token for scope in scopes for token in _renamed(scope, wide))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        yield kind, match.group().strip(" ") if kind == "regex" else match.group()
    yield "space", "\n"


def _renamed(scope: list[tuple[str, str]], wide: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The tokens of one scope; its local names share their letters with those of every other scope."""
    used = Counter(text for kind, text in scope if kind == "name")
    seen = frozenset(wide[name] for name in used if name in wide)
    short = {**wide, **_shorten([name for name, _ in used.most_common() if name not in wide], taken=seen)}
    for kind, text in scope:
        yield kind, short.get(text, text) if kind == "name" else text


def _shorten(names: list[str], *, taken: frozenset[str]) -> dict[str, str]:
    """One letter each, most used first, then two."""
    two = (first + second for first, second in product(ascii_letters, repeat=2))
    free = (short for short in (*ascii_letters, "$", "_", *two) if short not in taken and short not in _RESERVED)
    return dict(zip(names, free, strict=False))


def _join(tokens: Iterator[tuple[str, str]]) -> str:
    """Everything without blanks, but for one between two words or between signs that would run together (``a + +b``)."""
    out: list[str] = []
    last, gap = "", False
    for kind, text in tokens:
        if kind == "space":
            gap = True
            continue
        if text == "}" and out and out[-1] == ";":
            out.pop()
        if gap and ((last in _WORDS and kind in _WORDS) or (text in ("+", "-") and out[-1:] == [text])):
            out.append(" ")
        out.append(text)
        last, gap = kind, False
    return "".join(out)
