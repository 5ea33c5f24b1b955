"""Every shipped rule has tests beside it, and passes them; a test that expects something else fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.rules.cases import Case, case_file, run_case, run_cases
from alerts.rules.load import DEFAULTS, load_rules, rule_files

RULES = {rule.rule: rule for rule in load_rules()}


@pytest.mark.parametrize("path", rule_files(DEFAULTS), ids=lambda path: path.stem)
def test_a_shipped_rule_passes_the_cases_beside_it(path: Path) -> None:
    problems: list[str] = []
    results = run_cases(RULES[path.stem], case_file(path), problems)
    assert problems == []
    assert results
    assert [result for result in results if result.problem] == []


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ({"name": "n", "expect": "quiet"}, "expected 'quiet', got 'fires'"),
        ({"name": "n", "expect": "held: incomplete"}, "expected 'held: incomplete', got 'fires'"),
        ({"name": "n", "expect": "fires", "targets": []}, "expected targets [], got ['google:1:2']"),
        ({"name": "n", "expect": "fires", "incident": {"clicks": "many"}}, "the case itself is wrong"),
    ],
)
def test_a_case_that_expects_something_else_fails(case: dict[str, object], problem: str) -> None:
    assert run_case(RULES["pause_failing_campaigns"], Case.model_validate(case)).startswith(problem)


def test_a_case_file_of_another_rule_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.test.yaml"
    path.write_text("rule: other\ncases: [{name: n, expect: fires}]\n", "utf-8")
    problems: list[str] = []
    assert run_cases(RULES["conversion_incident"], path, problems) == []
    assert "holds 'conversion_incident'" in problems[0]
