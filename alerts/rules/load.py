"""Reads rules from YAML: the shipped ones, then a folder of your own. Every problem of every file is reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from alerts.rules.lint import lint, lint_set
from alerts.rules.schema import Rule
from core.errors import SettingsError
from core.settings import Section
from core.settings_problems import sentences
from core.yaml_file import read_yaml

Model = TypeVar("Model", bound=Section)
DEFAULTS = Path(__file__).parent / "defaults"
TEST_SUFFIX = ".test.yaml"


def rule_files(folder: Path) -> list[Path]:
    """The rule files of a folder by name, their tests left out."""
    return sorted(path for path in folder.glob("*.yaml") if not path.name.endswith(TEST_SUFFIX))


def own_files(rules_dir: str = "") -> list[Path]:
    """The shipped rule files, then those of `rules_dir`.

    Raises:
        SettingsError: it is not a folder.
    """
    if rules_dir and not Path(rules_dir).is_dir():
        raise SettingsError([f"alerts.rules_dir: {rules_dir} is not a folder"], looked_in=[rules_dir])
    return [*rule_files(DEFAULTS), *(rule_files(Path(rules_dir)) if rules_dir else [])]


def load_rules(rules_dir: str = "") -> list[Rule]:
    """The shipped rules, each replaced by one of the same name in `rules_dir`, and the others there.

    Raises:
        SettingsError: with every problem of every file.
    """
    problems: list[str] = []
    rules = {rule.rule: rule for rule in read_rules(own_files(rules_dir), problems)}
    problems += lint_set(list(rules.values()))
    if problems:
        raise SettingsError(problems, looked_in=[str(DEFAULTS), *([rules_dir] if rules_dir else [])])
    return list(rules.values())


def read_rules(files: Iterable[Path], problems: list[str]) -> list[Rule]:
    """The rules that can be read; what is wrong with the others is added to `problems` as ``file: field: what``."""
    rules = []
    for path in files:
        rule = _read_rule(path, problems)
        if rule is not None:
            rules.append(rule)
    return rules


def read_as(model: type[Model], path: Path, problems: list[str], *, expected: str) -> Model | None:
    """What a file holds, or None with every problem noted as ``file: field: what``."""
    file = read_yaml(path, called=path.name, expected=expected)
    problems += file.problems
    if file.problems:
        return None
    try:
        return model.model_validate(file.values)
    except ValidationError as error:
        problems += [f"{path.name}: {text}" for text in sentences(error, model, file.line)]
        return None


def _read_rule(path: Path, problems: list[str]) -> Rule | None:
    rule = read_as(Rule, path, problems, expected="the fields of one rule")
    if rule is None:
        return None
    found = lint(rule)
    if rule.rule != path.stem:
        found = [f"rule: is {rule.rule!r}, but the file is named {path.name}", *found]
    problems += [f"{path.name}: {text}" for text in found]
    return None if found else rule
