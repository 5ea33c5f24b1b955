"""The recipe of CONTRIBUTING.md holds: the toy source was made by it, is a page of code, and every real source has what it asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import collectors
from collectors.config import CollectorsConfig
from collectors.registry import AD_PLATFORMS, SOURCES
from collectors.source_config import ConnectionConfig, SourceConfig
from tests.collectors.sandboxes.cases import CASES

ROOT = Path(collectors.__file__).parent.parent
TOY = ROOT / "tests/collectors/toy"
SECTIONS = sorted({*SOURCES, *(section for section, _ in AD_PLATFORMS.values())})
#: What every README tells, by a word that must stand in it.
TOLD = ("lag", "restate", "quota", "permission", "time zone", "not verified")


def recipe() -> list[str]:
    """The files that the recipe names."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## A new source\n")[2].partition("\n## ")[0]
    return [
        path
        for line in section.splitlines()
        if line.startswith("| `")
        for path in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def test_the_recipe_names_files_that_exist_for_every_source() -> None:
    paths = recipe()
    assert "collectors/<name>/collector.py" in paths
    missing = [path for path in paths if "<name>" not in path and not (ROOT / path).is_file()]
    missing += [
        path.replace("<name>", section)
        for path in paths
        if path.startswith("collectors/<name>/")
        for section in SECTIONS
        if not (ROOT / path.replace("<name>", section)).is_file()
    ]
    assert missing == []


def test_the_toy_source_has_the_files_of_the_recipe_and_is_a_page_of_code() -> None:
    own = [path.removeprefix("collectors/<name>/") for path in recipe() if path.startswith("collectors/<name>/")]
    assert [name for name in own if not (TOY / name).is_file()] == []
    lines = sum(len((TOY / name).read_text("utf-8").splitlines()) for name in ("collector.py", "config.py"))
    assert lines <= 110


@pytest.mark.parametrize("section", SECTIONS)
def test_a_source_is_configured_as_the_others_are(section: str) -> None:
    config = getattr(CollectorsConfig(), section)
    assert isinstance(config, SourceConfig)
    if section in SOURCES:
        connection = type(config).model_fields["connections"].annotation.__args__[0]  # type: ignore[union-attr]
        assert issubclass(connection, ConnectionConfig)
        assert SOURCES[section].startswith(f"collectors.{section}.collector:")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_source_says_what_a_reader_of_its_figures_must_know(section: str) -> None:
    told = " ".join((ROOT / "collectors" / section / "README.md").read_text("utf-8").lower().split())
    assert [word for word in TOLD if word not in told] == []


def test_every_case_has_its_sandbox_where_the_recipe_says() -> None:
    for name, where in CASES.items():
        module = where.partition(":")[0]
        assert module.startswith("tests.collectors.sandboxes."), name
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), name
