"""Writes the reference pages that are made from code: every setting, every Prometheus metric, the metric catalogue. `--check` fails when one is stale.

python -m app.reference [--check]
"""

from __future__ import annotations

import argparse
import ast
import sys
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings import Settings
from core.metric_description import Described, DescribedQuantity, described, limit
from core.settings import PREFIX

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "docs" / "configuration.md"

METRICS = ROOT / "docs" / "metrics.md"
CATALOGUE = ROOT / "docs" / "metric-catalogue.md"
METRIC_MODULES = (
    "core/metrics.py",
    "redirect/metrics.py",
    "redirect/watch/metrics.py",
    "collectors/metrics.py",
    "correlator/metrics.py",
    "alerts/metrics.py",
    "uploads/metrics.py",
    "app/metrics.py",
)

METRICS_HEADER = """# Metrics

<!-- Made from the modules' own declarations by `make generate`; edit those. -->

`GET /metrics` of `monitor`, in Prometheus' text format, or OpenMetrics when asked for (then the redirect's latency carries trace IDs as
exemplars). Base units; counters end in `_total`; histograms have `_bucket`, `_sum`, `_count`. Labels come from closed lists: no click,
incident, campaign or action ID is ever a label. Alerts about Clicktrace itself stand in `grafana/prometheus/rules.yaml`.
"""

CATALOGUE_HEADER = """# The metric catalogue

<!-- Made from core/metric_catalogue.yaml by `make generate`; edit that. -->

Every figure that people steer by, with its one formula. Reports, API (`GET /api/v1/metrics`), `clicktrace metrics`, dashboards and rules work it
out from here, and a test looks for a second way. Without a base there is no figure: blank in a table, NULL in SQL, no sample in PromQL. Money is
in one currency (integer micros inside); live and settled figures are metrics of their own and never mixed. What our own health is measured by
stands in [metrics](metrics.md).

A new metric is an entry in the file, an existing quantity or a new one with the table that counts it, and `make generate`.
"""

HEADER = """# Configuration

<!-- Made from the settings' own descriptions by `make generate`; edit those. -->

Settings are read from `clicktrace.yaml` (or the file that `CLICKTRACE_CONFIG` names), then from the environment, which wins. A setting
`redirect.port` is `CLICKTRACE_REDIRECT__PORT` there; lists and objects are written as YAML or JSON. Any setting may be read from a file by
adding `_FILE` to its variable, which is how secrets come in: `CLICKTRACE_STORE__PASSWORD_FILE=/run/secrets/store`. At start all problems are
reported at once, each with its field; nothing is guessed. `clicktrace doctor` checks the rest.
"""


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted path, section) of the model and everything nested in it, outermost first."""
    yield prefix, model
    for name, info in model.model_fields.items():
        inner = nested_model(info.annotation)
        if inner is not None:
            yield from sections(inner, f"{prefix}{name}{'[]' if is_list(info.annotation) else ''}.")


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as `Section`, `list[Section]` or `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = nested_model(inner)
        if found is not None:
            return found
    return None


def is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, tuple, dict)


def default_of(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel) or value in ("", None, [], {}, ()):
        return ""
    return f"`{value}`"


def setting_rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, info in model.model_fields.items():
        if nested_model(info.annotation) is not None:
            continue
        variable = "" if "[]" in prefix else f"`{PREFIX}{(prefix + name).replace('.', '__').upper()}`"
        yield f"| `{prefix}{name}` | {default_of(info)} | {(info.description or '').replace('|', '/')} | {variable} |"


def configuration_page() -> str:
    parts = [HEADER]
    for prefix, model in sections(Settings):
        rows = list(setting_rows(prefix, model))
        if not rows:
            continue
        summary = (model.__doc__ or "").strip().splitlines()[0]
        parts.append(f"## {prefix.rstrip('.') or 'top level'}\n\n{summary}\n")
        parts.append("| setting | default | meaning | variable |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def declared_metrics(source: str) -> Iterator[tuple[str, str, str]]:
    """(name, help, labels) of every metric that a metrics module declares: a name literal followed by its help literal."""
    for node in ast.walk(ast.parse(source)):
        values = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
        for name, meaning in pairwise(text_of(value) for value in values):
            if name.startswith("clicktrace_") and meaning:
                yield name, meaning, ", ".join(label_names(node))


def text_of(node: ast.AST) -> str:
    """The value of a string literal, else an empty string."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def label_names(node: ast.AST) -> list[str]:
    """Labels of a metric's declaration: the one list of strings among its arguments."""
    if not isinstance(node, ast.Call):
        return []
    arguments = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("labels", "labelnames"))]
    lists = [argument for argument in arguments if isinstance(argument, ast.List | ast.Tuple)]
    return [text_of(element) for found in lists[:1] for element in found.elts]


def metrics_page() -> str:
    parts = [METRICS_HEADER]
    for module in METRIC_MODULES:
        rows = [
            f"| `{name}` | {labels} | {meaning} |"
            for name, meaning, labels in declared_metrics((ROOT / module).read_text("utf-8"))
        ]
        parts.append(f"## {module}\n\n| metric | labels | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def catalogue_page() -> str:
    found = described()
    table = [f"| [{m.title}](#{m.name}) | {m.tier} | {m.owner} | {limit(m.threshold)} |" for m in found]
    quantities = {one.name: one for metric in found for one in metric.quantities}
    parts = [
        CATALOGUE_HEADER,
        "| metric | tier | owner | out of order |\n| --- | --- | --- | --- |\n" + "\n".join(table) + "\n",
        *(metric_entry(metric) for metric in found),
        "## What they are made of\n\n| quantity | unit | what is counted | live from | in reports |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(quantity_row(quantities[name]) for name in sorted(quantities))
        + "\n",
    ]
    return "\n".join(parts)


def metric_entry(metric: Described) -> str:
    told = ", ".join(metric.told)
    runbook = f" Runbook: [{metric.runbook}](../runbooks/{metric.runbook}.md)." if metric.runbook else ""
    asked = f"\nIn Prometheus: `{metric.promql}`\n" if metric.promql else ""
    return (
        f"### {metric.name}\n\n{metric.title}: `{metric.formula}` ({metric.unit}). {metric.meaning}\n\n"
        f"Rests on {', '.join(metric.sources)}. Told: {told}. {metric.response}{runbook}\n{asked}"
    )


def quantity_row(quantity: DescribedQuantity) -> str:
    counted = f"`{quantity.counted_by}`".replace("|", "/") if quantity.counted_by else ""
    report = f"`{quantity.report}`" if quantity.report else ""
    return f"| `{quantity.name}` | {quantity.unit} | {quantity.title}. {quantity.filters} | {counted} | {report} |"


def pages() -> dict[Path, str]:
    return {CONFIGURATION: configuration_page(), METRICS: metrics_page(), CATALOGUE: catalogue_page()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    check = parser.parse_args().check
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if check:
            print(f"{path.name} is stale: run `make generate` and commit the result")
        else:
            path.write_text(text, "utf-8")
            print(f"wrote {path.name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
