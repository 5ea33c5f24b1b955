"""No metric is worked out in two ways: where a figure of the catalogue is divided, `core.metric_catalogue` does it, and nothing else.

Python is read as a syntax tree, SQL and PromQL as text. Looked for are divisions of what a metric divides, under every name that code has for
it, also through local variables and through helpers that divide one argument by another.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
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


def divided(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Both sides of a division, however it is written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv):
        return node.left, node.right
    called = node.func if isinstance(node, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    if (
        isinstance(node, ast.Call)
        and len(node.args) == 2
        and name in ("truediv", "floordiv", "divide", "true_divide", "divmod", "Fraction", "wilson")
    ):
        return node.args[0], node.args[1]
    return None


def helpers(tree: ast.Module) -> dict[str, tuple[int, int]]:
    """Functions of a module that divide one argument by another: name -> which by which."""
    found = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            arguments = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
            for node in ast.walk(function):
                both = divided(node)
                if both and all(isinstance(side, ast.Name) and side.id in arguments for side in both):
                    left, right = (arguments.index(side.id) for side in both if isinstance(side, ast.Name))
                    found[function.name] = left, right
    return found


def scopes(tree: ast.Module) -> Iterator[tuple[ast.AST, dict[str, Idents]]]:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    methods = [node for one in tree.body if isinstance(one, ast.ClassDef) for node in one.body]
    for scope in (*functions, *methods):
        yield scope, set_from(scope)


def second_ways(source: str) -> Iterator[str]:
    """Divisions in a module that are a metric of the catalogue: `metric: the code`."""
    tree = ast.parse(source)
    dividing = helpers(tree)
    for scope, known in scopes(tree):
        for node in ast.walk(scope):
            both = divided(node)
            if (
                both is None
                and isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in dividing
            ):
                places = dividing[node.func.id]
                both = (node.args[places[0]], node.args[places[1]]) if len(node.args) > max(places) else None
            for name in metrics_divided(idents(both[0], known), idents(both[1], known)) if both else []:
                yield f"{name}: {ast.unparse(node)}"


def python_sources() -> list[Path]:
    return [path for path in source_files(*PACKAGES) if not str(path.relative_to(ROOT)).startswith(WORLD)]


def test_no_module_works_a_metric_out_by_itself() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {way}" for path in python_sources() for way in second_ways(path.read_text("utf-8"))
    ]
    assert found == [], "use core.metric_catalogue.value or amount"


@pytest.mark.parametrize(
    "code",
    [
        "def f(cost, clicks):\n    return cost.spend_micros / clicks",
        "def f(row):\n    return int(row['spend_micros']) // int(row['conversions'])",
        "def f(row):\n    paid = row.spend_micros\n    sold = row.conversions\n    return round(paid / max(sold, 1))",
        "def f(row):\n    value, spend = row.worth, row.cost_micros\n    return (value - spend) / spend",
        "def share(part, whole):\n    return part / whole if whole else None\n\ndef f(row):\n    return share(row.value_micros, row.spend_micros)",
        "class A:\n    def f(self):\n        return np.divide(self.converted, self.mature)",
        "def f(facts):\n    return facts.cpc_micros / facts.margin_micros",
    ],
)
def test_a_second_way_is_found_however_it_is_written(code: str) -> None:
    assert list(second_ways(code))


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
    assert list(second_ways(code)) == []


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


def words(text: str) -> Idents:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def inline_sql() -> Iterator[tuple[str, str]]:
    """Text in modules that is a query."""
    for path in python_sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\bSELECT\b", node.value):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def queries() -> list[tuple[str, str]]:
    files = [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.sql"))]
    return [*((str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in files), *inline_sql()]


def test_no_query_works_a_metric_out_by_itself() -> None:
    found = [
        f"{where}: {name}: {left} / {right}"
        for where, text in queries()
        for left, right in text_divisions(text)
        for name in metrics_divided(words(left), words(right))
    ]
    assert found == [], "use core.metric_queries.sql, aggregated or query"


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
    ],
)
def test_divisions_are_found_in_text(text: str, both: tuple[str, str]) -> None:
    assert list(text_divisions(text)) == [both]


def test_units_comments_and_texts_are_no_divisions() -> None:
    assert list(text_divisions("SELECT ms / 1000, x / 1e6, 'a/b' -- a / b\nFROM t /* a / b */")) == []
