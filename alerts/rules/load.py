"""Reads rules from YAML: the shipped ones, then a folder of your own. Every problem of every file is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from alerts.rules.lint import lint, lint_set
from alerts.rules.schema import Rule
from core.errors import SettingsError

DEFAULTS = Path(__file__).parent / "defaults"
TEST_SUFFIX = ".test.yaml"


def rule_files(folder: Path) -> list[Path]:
    """The rule files of a folder by name, their tests left out."""
    return sorted(path for path in folder.glob("*.yaml") if not path.name.endswith(TEST_SUFFIX))


def load_rules(rules_dir: str = "") -> list[Rule]:
    """The shipped rules, each replaced by one of the same name in `rules_dir`, and the others there.

    Raises:
        SettingsError: with every problem of every file.
    """
    files = rule_files(DEFAULTS)
    problems: list[str] = []
    if rules_dir:
        own = Path(rules_dir)
        if not own.is_dir():
            raise SettingsError([f"alerts.rules_dir: {rules_dir} is not a folder"], looked_in=[rules_dir])
        files += rule_files(own)
    rules = {rule.rule: rule for rule in read_rules(files, problems)}
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


def read_yaml(path: Path, problems: list[str]) -> dict[str, Any] | None:
    """A file's mapping, or None with the problem noted."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: not YAML: {error}")
        return None
    if not isinstance(values, dict):
        problems.append(f"{path.name}: expected the fields of one rule, found {type(values).__name__}")
        return None
    return values


def _read_rule(path: Path, problems: list[str]) -> Rule | None:
    values = read_yaml(path, problems)
    if values is None:
        return None
    try:
        rule = Rule.model_validate(values)
    except ValidationError as error:
        problems += [f"{path.name}: {_field(e['loc'])}: {e['msg']}" for e in error.errors()]
        return None
    found = lint(rule)
    if rule.rule != path.stem:
        found = [f"rule: is {rule.rule!r}, but the file is named {path.name}", *found]
    problems += [f"{path.name}: {text}" for text in found]
    return None if found else rule


def _field(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "rule"
