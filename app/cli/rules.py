"""`clicktrace rules`: what rules there are, whether their files are right, and whether they do what their tests say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alerts.rules.cases import CaseResult, case_file, run_cases
from alerts.rules.lint import lint_set
from alerts.rules.load import own_files, read_rules, rule_files
from alerts.rules.schema import Rule
from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json, print_table
from app.settings import load_settings
from core.errors import Invalid

app = typer.Typer(help="Check and test the rules.", no_args_is_help=True)

Files = Annotated[
    list[Path] | None, typer.Argument(help="Rule files or folders; default: the shipped rules and alerts.rules_dir.")
]


@app.command()
def check(files: Files = None, json: Json = False) -> None:
    """Read rules and report everything that is wrong with them, by file and field."""
    problems: list[str] = []
    rules = read_rules(_rule_files(files), problems)
    problems += [] if files else lint_set(rules)
    if json:
        print_json({"rules": [rule.rule for rule in rules], "problems": problems})
    else:
        rows = [(rule.rule, rule.watch, _steps(rule), rule.mode or "", _state(rule), rule.owner) for rule in rules]
        print_table(["rule", "watches", "steps", "mode", "state", "owner"], rows, empty="No rule could be read.")
        _print_problems(problems)
    if problems:
        raise typer.Exit(FAILED)


@app.command("test")
def run_tests(files: Files = None, json: Json = False) -> None:
    """Run the `<rule>.test.yaml` beside every rule."""
    problems: list[str] = []
    results: list[CaseResult] = []
    for path in _rule_files(files):
        for rule in read_rules([path], problems):
            tests = case_file(path)
            if tests.exists():
                results += run_cases(rule, tests, problems)
            else:
                problems.append(f"{path.name}: there is no {tests.name} beside it")
    failed = [each for each in results if each.problem]
    if json:
        print_json({"passed": len(results) - len(failed), "failed": failed, "problems": problems})
    else:
        rows = [(each.rule, each.case, each.problem) for each in failed]
        print_table(["rule", "case", "what happened"], rows, empty=f"{len(results)} cases passed.")
        _print_problems(problems)
    if failed or problems:
        raise typer.Exit(FAILED)


def _rule_files(given: list[Path] | None) -> list[Path]:
    """The files that are meant.

    Raises:
        SettingsError: `alerts.rules_dir` is not a folder.
        Invalid: `no_rules`: a folder that was named holds none.
    """
    if not given:
        return own_files(load_settings().alerts.rules_dir)
    for path in given:
        if path.is_dir() and not rule_files(path):
            raise Invalid("no_rules", f"{path}: no rule in this folder; a rule is a file <its name>.yaml")
    return [file for path in given for file in (rule_files(path) if path.is_dir() else [path])]


def _steps(rule: Rule) -> str:
    return ", ".join(name for step in rule.steps for name in step.model_fields_set)


def _state(rule: Rule) -> str:
    return "enabled" if rule.enabled else "off"


def _print_problems(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(problem, err=True)
