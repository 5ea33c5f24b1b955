"""A metric's formula: one line of arithmetic over named quantities, read once, worked out in Python, SQL and PromQL alike.

    formula  = numbers, names, + - * /, brackets, and quantile(0.95, name)

What has no base has no value: a division by nothing is None in Python, NULL in SQL and no sample in PromQL; and where a quantity is
not known, neither is what is made of it. Names are quantities of the catalogue (`core.metric_catalogue`); nothing else can be called.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from core.errors import Invalid

#: A quantity's value: None = not known; several = the single measurements that a quantile is taken of.
Known = float | Sequence[float] | None
#: What a formula is once it is read: its value of the quantities.
Compiled = Callable[[Mapping[str, Known]], float | None]
#: Powers of money and of seconds: a count or a ratio has neither.
Dimension = tuple[int, int]

_SIGNS: Final[dict[type[ast.operator], str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_PLAIN: Final[Dimension] = (0, 0)
_APPLY: Final[dict[str, Callable[[float, float], float | None]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else None,
}


class Number(msgspec.Struct, frozen=True):
    value: float


class Name(msgspec.Struct, frozen=True):
    name: str


class Quantile(msgspec.Struct, frozen=True):
    """The `share` quantile of single measurements, between two neighbours in proportion."""

    share: float
    name: str


class Operation(msgspec.Struct, frozen=True):
    sign: str
    left: Formula
    right: Formula


Formula = Number | Name | Quantile | Operation


def parse(text: str) -> Formula:
    """The formula that a line of text says.

    Raises:
        Invalid: `bad_formula`: it is no arithmetic of names and numbers.
    """
    try:
        return _node(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError) as error:
        raise Invalid("bad_formula", f"{text!r}: {error}") from None


def names(formula: Formula) -> list[str]:
    """The quantities it is made of, each once, in the order they are written."""
    return list(dict.fromkeys(_names(formula)))


def divisions(formula: Formula) -> Iterator[tuple[set[str], set[str]]]:
    """Of every division, what is divided and by what."""
    if isinstance(formula, Operation):
        if formula.sign == "/":
            yield set(_names(formula.left)), set(_names(formula.right))
        yield from divisions(formula.left)
        yield from divisions(formula.right)


def compiled(formula: Formula) -> Compiled:
    """A function of the quantities that gives its value; whole numbers stay exact until they are divided.

    It gives None where a quantity is not known or a base is nothing.
    """
    if isinstance(formula, Operation):
        return _applied(formula.sign, compiled(formula.left), compiled(formula.right))
    if isinstance(formula, Number):
        return lambda _: formula.value
    return _measured(formula) if isinstance(formula, Quantile) else _named(formula.name)


def evaluate(formula: Formula, known: Mapping[str, Known]) -> float | None:
    """Its value from its quantities: see `compiled`, which is for whoever asks again and again."""
    return compiled(formula)(known)


def to_sql(formula: Formula, columns: Mapping[str, str]) -> str:
    """The formula over expressions of the engine; a quantile's is one of single rows, all others are already summed."""

    def divided(left: str, right: str) -> str:
        return f"{left} / nullIf({right}, 0)"

    def quantile(share: float, measured: str) -> str:
        # Of no rows the quantile would be nan.
        return f"quantileOrNull({share:g})({measured})"

    return _rendered(formula, columns, divided=divided, quantile=quantile)


def to_promql(formula: Formula, series: Mapping[str, str]) -> str:
    """The formula over PromQL expressions; a quantile's is a rate of buckets by `le`."""

    def divided(left: str, right: str) -> str:
        return f"{left} / ({right} > 0)"

    def quantile(share: float, buckets: str) -> str:
        return f"histogram_quantile({share:g}, {buckets})"

    return _rendered(formula, series, divided=divided, quantile=quantile)


def dimension(formula: Formula, of: Mapping[str, Dimension]) -> Dimension:
    """What the result is measured in.

    Raises:
        Invalid: `bad_formula`: it adds what is not the same kind of thing.
    """
    if isinstance(formula, Number):
        return _PLAIN
    if isinstance(formula, Name | Quantile):
        return of[formula.name]
    left, right = dimension(formula.left, of), dimension(formula.right, of)
    if formula.sign in "*/":
        turn = 1 if formula.sign == "*" else -1
        return left[0] + turn * right[0], left[1] + turn * right[1]
    if left != right:
        raise Invalid("bad_formula", f"{formula.sign} between things that are not measured alike")
    return left


def _node(node: ast.expr) -> Formula:
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        return Operation(_SIGNS[type(node.op)], _node(node.left), _node(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return Operation("-", Number(0), _node(node.operand))
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Number(node.value)
    if isinstance(node, ast.Name):
        return Name(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "quantile":
        return _quantile_of(node)
    raise ValueError(f"{ast.unparse(node)!r} is not arithmetic of names and numbers")


def _quantile_of(call: ast.Call) -> Quantile:
    arguments = [_node(argument) for argument in call.args]
    match arguments:
        case [Number(value=share), Name(name=name)] if 0 <= share <= 1 and not call.keywords:
            return Quantile(share, name)
    raise ValueError("write quantile(0.95, name), with a share from 0 to 1")


def _names(formula: Formula) -> Iterator[str]:
    if isinstance(formula, Name | Quantile):
        yield formula.name
    elif isinstance(formula, Operation):
        yield from _names(formula.left)
        yield from _names(formula.right)


def _named(name: str) -> Compiled:
    def found(known: Mapping[str, Known]) -> float | None:
        one = known[name]
        assert one is None or isinstance(one, (int, float)), f"{name} is one number"
        return one

    return found


def _measured(formula: Quantile) -> Compiled:
    return lambda known: _quantile(known[formula.name], formula.share)


def _applied(sign: str, left: Compiled, right: Compiled) -> Compiled:
    apply = _APPLY[sign]

    def found(known: Mapping[str, Known]) -> float | None:
        one, other = left(known), right(known)
        return None if one is None or other is None else apply(one, other)

    return found


def _quantile(measured: Known, share: float) -> float | None:
    """As the engine's `quantile` interpolates: at position share x (n - 1) of the sorted values."""
    assert measured is None or isinstance(measured, Sequence), "a quantile is taken of single measurements"
    if not measured:
        return None
    ordered = sorted(measured)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _rendered(
    formula: Formula,
    given: Mapping[str, str],
    *,
    divided: Callable[[str, str], str],
    quantile: Callable[[float, str], str],
) -> str:
    def told(part: Formula, *, inside: bool) -> str:
        if isinstance(part, Number):
            return f"{part.value:g}"
        if isinstance(part, Name):
            return given[part.name]
        if isinstance(part, Quantile):
            return quantile(part.share, given[part.name])
        left, right = told(part.left, inside=True), told(part.right, inside=part.sign != "/")
        text = divided(left, right) if part.sign == "/" else f"{left} {part.sign} {right}"
        return f"({text})" if inside else text

    return told(formula, inside=False)
