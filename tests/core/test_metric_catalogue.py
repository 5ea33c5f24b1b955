"""The catalogue keeps its word: every formula can be worked out, and everything that an entry points to is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from alerts.rules.load import load_rules
from app.settings import Settings
from core import formula
from core.errors import ClicktraceError, Invalid, NotFound
from core.metric_catalogue import FILE, amount, catalogue, formula_of, read_catalogue, value
from core.metric_description import describe, described, limit
from core.metric_queries import aggregated, promql, query, sql
from core.records import Kinds
from correlator import queries

ROOT = Path(__file__).parent.parent.parent
METRICS = catalogue().metrics
QUANTITIES = catalogue().quantities
NINE = {
    "spend", "clicks", "sessions", "conversion_rate", "revenue", "cost_per_conversion", "redirect_latency", "page_error_rate",
    "reconciliation_variance",
}  # fmt: skip


def test_the_nine_that_everybody_starts_with_are_there_and_owned() -> None:
    assert set(METRICS) >= NINE
    assert {
        name for name, metric in METRICS.items() if not (metric.told and metric.response and metric.meaning)
    } == set()


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_blank_where_one_of_its_quantities_is_not_known(name: str) -> None:
    made_of = formula.names(formula_of(name))
    known: dict[str, Any] = {one: [3.0, 1.0, 2.0] if QUANTITIES[one].single else 2 for one in made_of}
    assert value(name, **known) is not None
    for one in made_of:
        assert value(name, **{**known, one: None}) is None


def test_money_is_whole_micros() -> None:
    assert amount("cost_per_conversion", spend=10_000_000, conversions=3) == 3_333_333
    assert amount("cost_per_conversion", spend=10_000_000, conversions=0) is None


@pytest.mark.parametrize(
    ("reason", "call"),
    [
        ("unknown_metric", lambda: value("roaz", value=1, spend=1)),
        ("unknown_quantity", lambda: value("roas", value=1, spend=1, clicks=1)),
        ("missing_quantity", lambda: value("roas", value=1)),
        ("unknown_quantity", lambda: sql("roas", clicks="c")),
        ("not_in_store", lambda: query("roas", during="1")),
        ("not_in_store", lambda: aggregated("conversion_rate_so_far")),
        ("not_in_prometheus", lambda: promql("roas")),
    ],
)
def test_what_cannot_be_worked_out_is_refused_by_a_word(reason: str, call: Any) -> None:
    with pytest.raises(Invalid) as refused:
        call()
    assert refused.value.reason == reason


def test_the_sources_of_a_quantity_are_kinds_of_the_journal_or_the_settings() -> None:
    assert {source for quantity in QUANTITIES.values() for source in quantity.sources} <= {*Kinds.BY_NAME, "settings"}


def test_every_quantity_is_part_of_a_metric() -> None:
    used = {one for name in METRICS for one in formula.names(formula_of(name))}
    assert set(QUANTITIES) - used == set()


@pytest.mark.parametrize("name", [name for name, quantity in QUANTITIES.items() if quantity.report])
def test_the_reports_column_of_a_quantity_exists(name: str) -> None:
    query_name, _, column = QUANTITIES[name].report.partition(".")
    # What a query passes on whole is named in the store's own schema.
    passed_on = "SELECT *" in queries.text(query_name)
    schema = [path.read_text("utf-8") for path in (ROOT / "core/store/schema").glob("*.sql")] if passed_on else []
    said = "\n".join([queries.header(query_name), *schema])
    assert re.search(rf"\b{column}\b", said), f"{query_name} has no column {column}"


def test_a_quantity_is_in_prometheus_only_under_a_metric_we_have() -> None:
    ours = set(re.findall(r"^\| `(clicktrace_\w+)`", (ROOT / "docs/metrics.md").read_text("utf-8"), re.M))
    asked = {one.prometheus.metric.removesuffix("_count") for one in QUANTITIES.values() if one.prometheus}
    assert asked
    assert {name.removesuffix("_total") for name in asked} <= {name.removesuffix("_total") for name in ours}


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.threshold])
def test_what_alerts_by_itself_says_which_page_its_response_stands_on(name: str) -> None:
    """A target of the campaign or of the business alerts nobody by itself: people look at it."""
    metric = METRICS[name]
    assert metric.threshold
    by_itself = metric.threshold.steered_by.partition(" ")[0] in ("rule", "detection", "setting")
    assert bool(metric.runbook) or not by_itself, f"{name}: whoever is told at night asks what to do"


def test_every_runbook_is_a_page() -> None:
    named = {metric.runbook for metric in METRICS.values() if metric.runbook}
    assert named
    assert {name for name in named if not (ROOT / "runbooks" / f"{name}.md").exists()} == set()


def setting(path: str) -> Any:
    """The default of a dotted setting.

    Raises:
        AttributeError: there is none.
    """
    found: Any = Settings.model_construct()
    for part in path.split("."):
        info = type(found).model_fields[part] if isinstance(found, BaseModel) else None
        assert info is not None, f"{path}: {part} is no setting"
        found = info.get_default(call_default_factory=True, validated_data={})
    return found


def conditions(node: Any) -> dict[str, float]:
    """Fact -> the number that a rule compares it with."""
    if isinstance(node, list):
        return {fact: number for one in node for fact, number in conditions(one).items()}
    if not isinstance(node, dict):
        return {}
    numbers = [bound for word, bound in node.items() if word in ("above", "below", "at_most", "at_least")]
    own = {node["fact"]: numbers[0]} if "fact" in node and numbers else {}
    return own | {fact: number for content in node.values() for fact, number in conditions(content).items()}


STEERED = [(name, metric.threshold) for name, metric in METRICS.items() if metric.threshold]


@pytest.mark.parametrize(("name", "threshold"), STEERED, ids=[name for name, _ in STEERED])
def test_a_threshold_is_the_one_that_its_rule_or_setting_holds(name: str, threshold: Any) -> None:
    kind, _, which = threshold.steered_by.partition(" ")
    bounds = {abs(bound) for bound in (threshold.above, threshold.below) if bound is not None}
    assert bounds, "a threshold has a bound"
    if kind == "rule":
        (rule,) = [one for one in load_rules() if one.rule == which]
        assert rule.owner in METRICS[name].told
        written = yaml.safe_load((ROOT / f"alerts/rules/defaults/{which}.yaml").read_text("utf-8"))
        assert bounds <= set(conditions(written).values())
    if kind == "setting":
        default = setting(which)
        assert not isinstance(default, float) or bounds == {default}


def test_a_description_says_everything_and_the_words_of_a_limit() -> None:
    found = describe("conversion_rate")
    assert [one.name for one in found.quantities] == ["converted_clicks", "mature_clicks"]
    assert found.sources == ["click", "conversion"]
    assert (found.sql, found.promql) == ("", "")
    assert limit(found.threshold) == "below 0.7 x baseline (rule pause_failing_campaigns)"
    assert {one.name for one in described()} == set(METRICS)


def test_a_misspelt_metric_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(NotFound, match="did you mean conversion_rate"):
        describe("conversion-rat")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("formula: spend / nobody", "roas: nothing counts nobody"),
        ("formula: value + clicks", "roas: \\+ between things that are not measured alike"),
        ("formula: spend * value", "roas: its formula is not measured in ratio"),
        ("formula: spend ** 2", "roas: .* is not arithmetic of names and numbers"),
        ("formulae: value / spend", "unknown field `formulae`"),
        ("formula: value / spend\n    owner: nobody", "stands twice|Invalid enum value"),
    ],
)
def test_a_wrong_entry_is_named_when_the_file_is_read(tmp_path: Path, text: str, problem: str) -> None:
    written = FILE.read_text("utf-8")
    assert written.count("formula: value / spend\n") == 1
    path = tmp_path / "catalogue.yaml"
    path.write_text(written.replace("formula: value / spend\n", f"{text}\n"), "utf-8")
    with pytest.raises(ClicktraceError, match=problem):
        read_catalogue(path)
