"""No metric is worked out in two ways: where a figure of the catalogue is divided, `core.metric_catalogue` does it, and nothing else.

Python is read as a syntax tree, SQL and PromQL as text. Looked for are divisions of what a metric divides, under every name that code has for
it, also through local variables and through helpers that divide one argument by another.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import formula
from core.errors import Invalid
from core.metric_catalogue import catalogue, formula_of
from core.metric_queries import aggregated, promql, sql
from tests.test_architecture import PACKAGES, ROOT, source_files

Idents = set[str]
#: The simulated world is what figures are checked against: it divides by itself on purpose. Benchmarks measure us, not campaigns.
WORLD = ("app/demo", "app/bench")


def names_of(quantity: str) -> Idents:
    return {quantity, *catalogue().quantities[quantity].also_called}


def metric_divisions() -> list[tuple[str, Idents, Idents]]:
    """(metric, names that are divided, names that are divided by)."""
    found = []
    for name in catalogue().metrics:
        for above, below in formula.divisions(formula_of(name)):
            found.append((name, set().union(*map(names_of, above)), set().union(*map(names_of, below))))
    return found


DIVISIONS = metric_divisions()


def metrics_divided(above: Idents, below: Idents) -> list[str]:
    """The metrics that a division of these names would be."""
    return [name for name, numerators, bases in DIVISIONS if above & numerators and below & bases]


# --- Python ----------------------------------------------------------------------------------------------------------------------


def idents(node: ast.AST, known: dict[str, Idents]) -> Idents:
    """Every name in an expression, attribute and key included, local variables traced to what they were set from."""
    found: Idents = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found |= {part.id} | known.get(part.id, set())
        elif isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            found.add(part.value)
    return found


def set_from(function: ast.AST) -> dict[str, Idents]:
    """Local variable -> names in what it was set from, two steps back."""
    known: dict[str, Idents] = {}
    for _ in range(2):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target, value in pairs(targets[0], node.value):
                    known[target] = known.get(target, set()) | idents(value, known)
    return known


def pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, given in zip(target.elts, value.elts, strict=True):
            yield from pairs(one, given)


DIVIDING = ("truediv", "floordiv", "divide", "true_divide", "divmod", "Fraction", "wilson")
#: Function -> the arguments, in order, of which it divides one by another, and which by which.
Helpers = dict[str, tuple[list[str], str, str]]


def divided(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Both sides of a division, however it is written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv):
        return node.left, node.right
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, ast.BinOp) and isinstance(other.op, ast.Div) and isinstance(other.left, ast.Constant):
                return one, other.right
    if isinstance(node, ast.Call) and len(node.args) == 2 and called(node) in DIVIDING:
        return node.args[0], node.args[1]
    return None


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def helpers(tree: ast.Module) -> Helpers:
    """Functions of a module that answer with one argument divided by another."""
    found: Helpers = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            given = function.args
            arguments = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            answers = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
            for node in (part for answer in answers for part in answered(answer)):
                left, right = (getattr(side, "id", "") for side in divided(node) or (None, None))
                if left in arguments and right in arguments:
                    found[function.name] = arguments, left, right
    return found


def answered(node: ast.expr) -> Iterator[ast.expr]:
    """What an answer may be: behind a condition, rounded, or held inside bounds."""
    yield node
    if isinstance(node, ast.IfExp):
        yield from (*answered(node.body), *answered(node.orelse))
    elif isinstance(node, ast.Call) and called(node) in ("round", "float", "int", "max", "min"):
        for argument in node.args:
            yield from answered(argument)


def through_helper(node: ast.AST, dividing: Helpers) -> tuple[ast.expr, ast.expr] | None:
    """Both sides, where a call leaves the division to a helper."""
    if not isinstance(node, ast.Call) or called(node) not in dividing:
        return None
    arguments, left, right = dividing[called(node)]
    given = dict(zip(arguments, node.args, strict=False)) | {one.arg: one.value for one in node.keywords if one.arg}
    return (given[left], given[right]) if left in given and right in given else None


def scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """Functions and methods each by itself, and what a module or class does outside of them."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.ClassDef) else (node,)


def second_ways(tree: ast.Module, dividing: Helpers) -> Iterator[str]:
    """Divisions in a module that are a metric of the catalogue: `metric: the code`."""
    for scope in scopes(tree):
        found = [(node, divided(node) or through_helper(node, dividing)) for node in ast.walk(scope)]
        divisions = [(node, both) for node, both in found if both]
        known = set_from(scope) if divisions else {}
        for node, (above, below) in divisions:
            for name in metrics_divided(idents(above, known), idents(below, known)):
                yield f"{name}: {ast.unparse(node)}"


@cache
def trees() -> dict[str, ast.Module]:
    """Every module, by its path."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in python_sources()}


def python_sources() -> list[Path]:
    return [path for path in source_files(*PACKAGES) if not str(path.relative_to(ROOT)).startswith(WORLD)]


def test_no_module_works_a_metric_out_by_itself() -> None:
    dividing = {name: how for tree in trees().values() for name, how in helpers(tree).items()}
    found = [f"{path}: {way}" for path, tree in trees().items() for way in second_ways(tree, dividing)]
    assert found == [], "use core.metric_catalogue.value or amount"


@pytest.mark.parametrize(
    "code",
    [
        "def f(cost, clicks):\n    return cost.spend_micros / clicks",
        "def f(row):\n    return int(row['spend_micros']) // int(row['conversions'])",
        "def f(row):\n    paid = row.spend_micros\n    sold = row.conversions\n    return round(paid / max(sold, 1))",
        "def f(row):\n    value, spend = row.worth, row.cost_micros\n    return (value - spend) / spend",
        "def share(part, whole):\n    return part / whole if whole else None\n\ndef f(row):\n    return share(row.value_micros, row.spend_micros)",
        "def per(amount, *, by):\n    return amount / by\n\ndef f(row):\n    return per(row.spend_micros, by=row.leads)",
        "def f(row):\n    return row.spend_micros * (1 / row.clicks)",
        "RATE = STORE.converted / STORE.mature",
        "class A:\n    def f(self):\n        return np.divide(self.converted, self.mature)",
        "def f(facts):\n    return facts.cpc_micros / facts.margin_micros",
    ],
)
def test_a_second_way_is_found_however_it_is_written(code: str) -> None:
    tree = ast.parse(code)
    assert list(second_ways(tree, helpers(tree)))


@pytest.mark.parametrize(
    "code",
    [
        "def f(cost, clicks):\n    return amount('cost_per_click', spend=cost.spend_micros, clicks=clicks)",
        "def f(row):\n    return row.spend_micros / 1_000_000",
        "def f(row):\n    return row.clicks * row.click_price",
        "def f(row):\n    return row.bytes / row.seconds",
    ],
)
def test_other_arithmetic_is_nobodys_business(code: str) -> None:
    tree = ast.parse(code)
    assert list(second_ways(tree, helpers(tree))) == []


# --- SQL and PromQL --------------------------------------------------------------------------------------------------------------


_NUMBER = re.compile(r"[\d_.]+(e\d+)?$")


def text_divisions(text: str) -> Iterator[tuple[str, str]]:
    """Both operands of every division by something else than a plain number, in SQL or PromQL."""
    plain = re.sub(r"--[^\n]*|'[^'\n]*'|\"[^\"\n]*\"|/\*.*?\*/", lambda found: " " * len(found[0]), text)
    # `sum by (x) (y)` is one operand.
    plain = re.sub(r"\s*\bby \([^)]*\) ?", "", plain)
    for found in re.finditer("/", plain):
        left = plain[operand_begins(plain, found.start()) : found.start()].strip()
        right = plain[found.end() : operand_ends(plain, found.end())].strip()
        if left and right and not _NUMBER.match(right):
            yield left, right
    for found in re.finditer(r"\b(?:divide|intDiv|intDivOrZero)\(", plain):
        arguments = split_arguments(plain[found.end() : operand_ends(plain, found.end() - 1) - 1])
        if len(arguments) == 2 and not _NUMBER.match(arguments[1]):
            yield arguments[0], arguments[1]


def operand_begins(text: str, end: int) -> int:
    at = len(text[:end].rstrip())
    while at and (text[at - 1] in ")]" or text[at - 1].isalnum() or text[at - 1] in "_.{}"):
        at = bracket_begins(text, at - 1) if text[at - 1] in ")]" else at - 1
    return at


def bracket_begins(text: str, last: int) -> int:
    depth = 0
    for at in range(last, -1, -1):
        depth += (text[at] in ")]") - (text[at] in "([")
        if depth == 0:
            return at
    return 0


def operand_ends(text: str, start: int) -> int:
    at = len(text) - len(text[start:].lstrip())
    depth = 0
    while at < len(text):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth < 0 or (depth == 0 and not (text[at].isalnum() or text[at] in "_.)]}")):
            return at
        at += 1
    return at


def split_arguments(text: str) -> list[str]:
    """At the commas that stand in no bracket."""
    depth, found = 0, [""]
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        found = [*found, ""] if sign == "," and depth == 0 else [*found[:-1], found[-1] + sign]
    return [one.strip() for one in found]


def words(text: str) -> Idents:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def inline_sql() -> Iterator[tuple[str, str]]:
    """Text in modules that is a query."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "SELECT" in node.value:
                yield f"{path}:{node.lineno}", node.value


def queries() -> list[tuple[str, str]]:
    files = [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.sql"))]
    return [*((str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in files), *inline_sql()]


#: (file, metric) -> why it stands there.
IN_THE_SCHEMA = {
    # A view of the store is plain SQL, made before the catalogue is read: cost_per_billed_click, held against it by
    # tests/correlator/test_metrics.py. `clicks` of a spend row are those that the platform bills.
    ("core/store/schema/0002_correlator.sql", "cost_per_click"),
    ("core/store/schema/0002_correlator.sql", "cost_per_billed_click"),
}


def test_no_query_works_a_metric_out_by_itself() -> None:
    found = {
        (where, name): f"{left} / {right}"
        for where, text in queries()
        for left, right in text_divisions(text)
        for name in metrics_divided(words(left), words(right))
    }
    unknown = {place: code for place, code in found.items() if place not in IN_THE_SCHEMA}
    assert unknown == {}, "use core.metric_queries.sql, aggregated or query"


def panel_texts(key: str) -> list[str]:
    """What the built dashboards ask."""

    def inside(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (node[key],) if isinstance(node.get(key), str) else ()
            for content in node.values():
                yield from inside(content)
        elif isinstance(node, list):
            for content in node:
                yield from inside(content)

    return [
        text
        for path in sorted((ROOT / "grafana/generated").glob("*.json"))
        for text in inside(json.loads(path.read_text("utf-8")))
    ]


def rendered(as_text: Any) -> list[str]:
    found = []
    for name in catalogue().metrics:
        try:
            found.append(" ".join(as_text(name).split()))
        except Invalid:
            continue
    return found


def over_parts(name: str) -> str:
    """As a query over several tables has it."""
    return sql(name, **{one: f"sum({one}_part)" for one in catalogue().made_of(name)})


#: What dashboards may divide besides: shares of a vendor's quota, which is no figure of a campaign.
OF_DASHBOARDS = {("used", "limit"), ("quota_used", "quota_limit")}


def test_dashboards_divide_and_take_quantiles_by_the_catalogue_only() -> None:
    ours = [*rendered(aggregated), *rendered(over_parts)]
    texts = panel_texts("rawSql")
    assert texts
    for text in texts:
        rest = text
        for one in sorted(ours, key=len, reverse=True):
            rest = rest.replace(one, "")
        assert set(text_divisions(rest)) - OF_DASHBOARDS == set(), text
        assert "quantile" not in rest, text


def prometheus_texts() -> list[str]:
    groups = yaml.safe_load((ROOT / "grafana/prometheus/rules.yaml").read_text("utf-8"))["groups"]
    return [*panel_texts("expr"), *(rule["expr"] for group in groups for rule in group["rules"])]


def is_mean_duration(left: str, right: str) -> bool:
    """A histogram's sum by its count is how long our own work takes, unless the catalogue measures the same."""
    sums, counts = re.findall(r"\w+(?=_sum\b)", left), re.findall(r"\w+(?=_count\b)", right)
    measured = {one.prometheus.metric for one in catalogue().quantities.values() if one.prometheus}
    return bool(sums) and sums == counts and not measured & set(sums)


def test_prometheus_divides_and_takes_quantiles_by_the_catalogue_only() -> None:
    ours = rendered(promql)
    texts = prometheus_texts()
    assert texts
    for text in texts:
        rest = " ".join(text.split())
        for one in sorted(ours, key=len, reverse=True):
            rest = rest.replace(one, "")
        assert [both for both in text_divisions(rest) if not is_mean_duration(*both)] == [], text
        assert "quantile" not in rest, text


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("SELECT sum(cost_micros) / nullIf(count(), 0) AS x", ("sum(cost_micros)", "nullIf(count(), 0)")),
        ("SELECT (a - b) / greatest(c, 1)", ("(a - b)", "greatest(c, 1)")),
        (
            "sum by (le) (rate(x_sum[5m])) / sum by (le) (rate(x_count[5m]))",
            ("sum(rate(x_sum[5m]))", "sum(rate(x_count[5m]))"),
        ),
        ("SELECT a.b/c.d FROM t", ("a.b", "c.d")),
        ("SELECT intDiv(sum(cost_micros), greatest(count(), 1)) AS x", ("sum(cost_micros)", "greatest(count(), 1)")),
    ],
)
def test_divisions_are_found_in_text(text: str, both: tuple[str, str]) -> None:
    assert list(text_divisions(text)) == [both]


def test_units_comments_and_texts_are_no_divisions() -> None:
    assert list(text_divisions("SELECT ms / 1000, intDiv(ms, 1000), x / 1e6, 'a/b' -- a / b\nFROM t /* a / b */")) == []
