"""Which statements the read-only protocol lets through. Pure but for the two lists that the engine itself gives.

The engine's `readonly = 1` is the first wall. It is not enough: INTO OUTFILE writes files, KILL QUERY kills, `file()` as a scalar
function reads files, and table functions of the embedded engine reach into this process. They are refused here, by name, in the
engine's own normal form of the statement, where comments, escapes and odd quoting are gone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Literal

from core.errors import Forbidden, Invalid

#: Every refusal by name.
Reason = Literal["not_a_read", "outfile", "kill", "system", "table_function", "format"]

ALLOWED = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"})
_NAMED: dict[str, Reason] = {"KILL": "kill", "SYSTEM": "system"}

#: Table functions that read nothing but their arguments or tables of this engine. All others are refused, new ones included.
SAFE_TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "generaterandom", "values"}
    | {"sqlstandardvalues", "view", "null", "merge", "primes", "format"}
    | {"mergetreeindex", "mergetreeprojection", "viewexplain", "viewifpermitted"}
)
#: Scalar functions that leave the engine.
UNSAFE_FUNCTIONS = frozenset({"file", "catboostevaluate", "sleep", "sleepeachrow"})
#: Functions that send text to an outside model.
_UNSAFE_PREFIX = "ai"

_TOKEN = re.compile(
    r"""
    (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>`(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*")
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<other>\S)
    """,
    re.VERBOSE | re.DOTALL,
)


def check_statement(canonical: str, *, table_functions: Collection[str]) -> None:
    """Let a statement through or refuse it.

    Args:
        canonical: one statement in the engine's normal form (`formatQuerySingleLine`).
        table_functions: every name the engine knows, lower-case.

    Raises:
        Forbidden: with its reason.
    """
    tokens = list(_tokens(canonical))
    words = [text.upper() for kind, text in tokens if kind == "word"]
    first = words[0] if words else ""
    if first not in ALLOWED:
        raise Forbidden(_NAMED.get(first, "not_a_read"), f"only {', '.join(sorted(ALLOWED))} are answered here")
    _check_explained(words)
    for (_, before), (_, after) in pairwise(tokens):
        if before.upper() == "INTO" and after.upper() == "OUTFILE":
            raise Forbidden("outfile", "a read writes no files")
    for name in _called(tokens):
        if _leaves_the_engine(name, table_functions):
            raise Forbidden("table_function", f"{name}() is not answered here")


def _check_explained(words: list[str]) -> None:
    """What EXPLAIN explains, and what WITH leads to, must itself be a read."""
    writes = {"INSERT", "CREATE", "ALTER", "DROP", "ATTACH", "DETACH", "SYSTEM", "KILL", "SET", "DELETE", "UPDATE"}
    if words[0] == "EXPLAIN":
        statement = next((word for word in words[1:] if word in writes or word in ALLOWED), "")
        if statement in writes:
            raise Forbidden("not_a_read", f"EXPLAIN {statement} is not answered here")
    for before, after in pairwise(words):
        if before == "INSERT" and after == "INTO":
            raise Forbidden("not_a_read", "nothing is written here")


def _leaves_the_engine(name: str, table_functions: Collection[str]) -> bool:
    lowered = name.lower()
    if lowered in UNSAFE_FUNCTIONS or (lowered.startswith(_UNSAFE_PREFIX) and name[2:3].isupper()):
        return True
    return lowered in table_functions and lowered not in SAFE_TABLE_FUNCTIONS


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        yield kind, match[0]


def _called(tokens: list[tuple[str, str]]) -> Iterator[str]:
    """Names that an opening parenthesis follows, quoted or not."""
    for (kind, text), (_, after) in pairwise(tokens):
        if after == "(" and kind in ("word", "quoted"):
            if kind == "quoted" and "\\" in text:
                raise Forbidden("table_function", "a function's name needs no escapes")
            yield text.strip('`"')


def check_database(name: str) -> str:
    """A database name that may follow USE.

    Raises:
        Invalid: anything but letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Invalid("database", f"{name!r} is not the name of a database", status=400)
    return name


def check_format(name: str) -> str:
    """The name of an output format.

    Raises:
        Invalid: not a plain name.
    """
    if not re.fullmatch(r"[A-Za-z0-9]+", name):
        raise Invalid("format", f"{name!r} is not a format", status=400)
    return name
