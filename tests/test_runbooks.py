"""What a runbook tells somebody to type or to look for exists: commands with their options, settings, metrics, words of refusals."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

import pytest

from app import reference
from app.cli.main import COMMANDS, load_command
from collectors.refusals import REASONS
from collectors.shape_watch import FINDINGS
from core.records import Reading

ROOT = Path(__file__).parent.parent
PAGES = sorted(page for page in (ROOT / "runbooks").glob("*.md") if page.name != "README.md")
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


def quoted(page: Path) -> list[str]:
    """Everything in backticks; a line that ends inside is joined."""
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", page.read_text("utf-8"))]


def missing_of(line: str) -> list[str]:
    """What of `clicktrace <command> …` does not exist: the command, or options."""
    words = line.split()[1:]
    if words[0] not in COMMANDS:
        return [words[0]]
    command: Any = load_command(words.pop(0))
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        return [words[0]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("--") and word not in known]


def test_a_command_or_option_that_does_not_exist_is_found() -> None:
    assert missing_of("clicktrace freshnes") == ["freshnes"]
    assert missing_of("clicktrace uploads lst") == ["lst"]
    assert missing_of("clicktrace uploads list --sate dead") == ["--sate"]
    assert missing_of("clicktrace uploads list --state dead") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_runbook_exists(page: Path) -> None:
    lines = [text for text in quoted(page) if text.startswith("clicktrace ")]
    assert [(line, missing) for line in lines if (missing := missing_of(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_and_metric_of_a_runbook_exists(page: Path) -> None:
    pages = reference.pages()
    settings = set(re.findall(r"^\| `([\w.\[\]]+)`", pages[reference.CONFIGURATION], re.M))
    sections = {name.partition(".")[0] for name in settings}
    named = [text for text in quoted(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+(\[\])?)+", text)]
    assert [
        name
        for name in named
        if name.partition(".")[0] in sections and not any(one == name or one.startswith((f"{name}.", f"{name}[")) for one in settings)
    ] == []  # fmt: skip
    metrics = {
        name + suffix for name in re.findall(r"^\| `(\w+)`", pages[reference.METRICS], re.M) for suffix in SUFFIXES
    }
    assert set(re.findall(r"\bclicktrace_\w+[a-z]\b", page.read_text("utf-8"))) - metrics == set()


@pytest.mark.parametrize("name", ["ClicktracePushRefused", "ClicktraceWebhookRefused", "ClicktracePostbacksRefused"])
def test_every_word_of_a_refusal_is_one_that_we_say(name: str) -> None:
    said = words_of_list(ROOT / f"runbooks/{name}.md")
    assert said
    # What is no refusal of ours is counted as failed.
    assert said - set(REASONS) - {"failed"} == set()


def test_every_word_of_a_finding_and_of_a_reader_has_its_line() -> None:
    states = set(typing.get_args(typing.get_type_hints(Reading)["state"]))
    assert words_of_list(ROOT / "runbooks/ClicktraceSourceChanged.md") == set(FINDINGS)
    assert words_of_list(ROOT / "runbooks/ClicktraceSourceSilent.md") == states - {"waiting", "stopped", "removed"}


def words_of_list(page: Path) -> set[str]:
    """The words in backticks before the colon of each line of Diagnosis's lists."""
    diagnosis = page.read_text("utf-8").partition("## Diagnosis")[2].partition("## Mitigation")[0]
    heads = re.findall(r"^ *- ((?:`[a-z_]+`[, .]*)+)[^:`]*:", diagnosis, re.M)
    # A list may go on after a full stop: `too_many_items`, `body_too_large`: …
    heads += re.findall(r"[.;] ((?:`[a-z_]+`[, ]*)+):", diagnosis)
    return {word for head in heads for word in re.findall(r"`([a-z_]+)`", head)}
