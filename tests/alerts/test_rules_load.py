"""Rules as files: what is wrong with each is said with file and field, all at once; bad files are named after their defect."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from alerts.rules.lint import lint_set
from alerts.rules.load import DEFAULTS, load_rules, read_rules, rule_files
from alerts.rules.schema import Rule
from core.errors import SettingsError

BAD = Path(__file__).parent / "bad_rules"

SAID = {
    "unknown_fact": [
        "unknown_fact.yaml: when.fact: there is no fact 'incident.verdikt'; did you mean incident.verdict?"
    ],
    "number_for_text": [
        "number_for_text.yaml: when.all.0.at_least: incident.verdict is not a number",
        "number_for_text.yaml: when.all.1.equals: 'many' cannot equal incident.clicks, which is a float",
    ],
    "two_comparisons": ["two_comparisons.yaml: when: the fact incident.clicks needs exactly one of"],
    "empty_all": ["empty_all.yaml: when.all: must not be empty (line 5)"],
    "two_steps_in_one": ["two_steps_in_one.yaml: steps.0: a step is exactly one of"],
    "bare_duration": [
        "bare_duration.yaml: gates.complete_within: 5 is not a duration such as 90s",
        "bare_duration.yaml: steps.0.pause.lease: 90 is not a duration",
    ],
    "unknown_field": [
        "unknown_field.yaml: minimum_clicks: there is no such setting; there is gates.minimum_clicks (line 6)"
    ],
    "no_owner": ["no_owner.yaml: owner: is missing"],
    "other_name": ["other_name.yaml: rule: is 'something_else', but the file is named other_name.yaml"],
    "redirect_pauses": ["redirect_pauses.yaml: steps: a rule that watches the redirect cannot pause"],
    "unsafe_automatic": [
        "unsafe_automatic.yaml: gates.minimum_clicks: an automatic pause needs one",
        "unsafe_automatic.yaml: gates.complete_within: an automatic pause needs one",
        "unsafe_automatic.yaml: when: an automatic pause needs a condition on incident.verdict",
        "unsafe_automatic.yaml: when: an automatic pause needs a condition on campaign.loses_sales",
        "unsafe_automatic.yaml: when: an automatic pause needs a condition on campaign.upper_to_break_even",
    ],
    "not_yaml": ["not_yaml.yaml: not YAML at line 2, column 1: expected ',' or ']'"],
    "a_list": ["a_list.yaml: expected the fields of one rule, found a list"],
    "incident_fact_in_campaigns": [
        "incident_fact_in_campaigns.yaml: campaigns.fact: there is no fact 'incident.verdict' here"
    ],
}


def test_every_bad_file_has_its_expectation() -> None:
    assert {path.stem for path in rule_files(BAD)} == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_defect_is_named_with_file_and_field(name: str) -> None:
    problems: list[str] = []
    assert read_rules([BAD / f"{name}.yaml"], problems) == []
    assert len(problems) == len(SAID[name]), problems
    for problem, said in zip(problems, SAID[name], strict=True):
        assert problem.startswith(said), problem


def test_all_problems_of_all_files_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_rules(str(BAD))
    assert len(raised.value.problems) == sum(len(said) for said in SAID.values())


def test_a_folder_that_is_not_there_is_a_problem() -> None:
    with pytest.raises(SettingsError, match="is not a folder"):
        load_rules("no/such/folder")


def test_an_own_rule_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    own = yaml.safe_load((DEFAULTS / "pause_failing_campaigns.yaml").read_text("utf-8"))
    own["gates"]["minimum_clicks"] = 5000
    (tmp_path / "pause_failing_campaigns.yaml").write_text(yaml.safe_dump(own), "utf-8")
    rules = {rule.rule: rule for rule in load_rules(str(tmp_path))}
    assert rules["pause_failing_campaigns"].gates.minimum_clicks == 5000
    assert len(rules) == len(rule_files(DEFAULTS))


def test_a_pause_without_any_alert_on_incidents_is_refused() -> None:
    rules = load_rules()
    assert lint_set(rules) == []
    [problem] = lint_set([rule for rule in rules if rule.pause_step])
    assert "nobody would be asked" in problem


def test_a_shipped_rule_says_who_answers_for_it_and_where_to_read_on() -> None:
    for rule in load_rules():
        assert rule.owner
        assert rule.alert_step is None or rule.runbook == rule.alert_step.name


def test_rules_are_read_by_their_yaml_names_only() -> None:
    fields = {"rule": "r", "description": "d", "owner": "o", "watch": "incident", "steps": [{"resume": {}}]}
    given = Rule.model_validate({**fields, "when": {"not": {"fact": "incident.state", "equals": "open"}}, "for": 3})
    assert (given.for_, given.resumes) == (3, True)
