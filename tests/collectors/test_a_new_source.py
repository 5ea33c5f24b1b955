"""The recipe of CONTRIBUTING.md holds: the toy source was made by it, is a page of code, and every real source has what it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import collectors
from collectors import registry
from collectors.config import CollectorsConfig
from collectors.registry import AD_PLATFORMS, SOURCES
from collectors.source_config import ConnectionConfig, SourceConfig
from core.records import Record
from tests.collectors.every_source import TOY, TOY_SOURCE, Parts, World
from tests.collectors.sandboxes.cases import CASES
from tests.collectors.toy.sandbox import ToyCase

ROOT = Path(collectors.__file__).parent.parent
FOLDER = ROOT / "tests/collectors/toy"
SECTIONS = sorted({*SOURCES, *(section for section, _ in AD_PLATFORMS.values())})
#: What every README tells, by words of which one must stand in it.
TOLD = ("lag", "restate", "quota|limits", "permission", "time zone", "not verified")


@pytest.fixture
def toy(
    tmp_path: Path,
    journal: Any,
    control: Any,
    clock: Any,
    journaled: Callable[[], list[Record]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    case = ToyCase(tmp_path, clock)
    case.start()
    world = World(case, Parts(journal, control, None, clock), journaled)
    yield world
    world.runner.stop()
    case.stop()


def recipe() -> list[str]:
    """The files that the recipe names, without those that only some sources have."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## A new source\n")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return [path for row in rows if not row[2].startswith(" only ") for path in re.findall(r"`([^`]+)`", row[1])]


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
    assert [name for name in own if not (FOLDER / name).is_file()] == []
    lines = sum(len((FOLDER / name).read_text("utf-8").splitlines()) for name in ("collector.py", "config.py"))
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
    assert [words for words in TOLD if not any(word in told for word in words.split("|"))] == []


def test_every_case_has_its_sandbox_where_the_recipe_says() -> None:
    for name, where in CASES.items():
        module = where.partition(":")[0]
        assert module.startswith("tests.collectors.sandboxes."), name
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), name


@pytest.mark.parametrize("change", ["new", "gone", "half", "odd"])
def test_what_changes_at_a_vendor_is_found_through_its_wire(toy: World, change: str) -> None:
    case = toy.case
    assert isinstance(case, ToyCase)
    case.behaviour.page_size = 50
    for number in range(1, 61):
        toy.add(number, ago_h=number / 4)
    for _ in range(4):
        toy.run(after_s=900)
    assert [finding.word for finding in toy.status.findings] == []
    changes: dict[str, dict[str, Any]] = {
        "new": {"voucher": "x"},
        "gone": {"coupon": None},
        "half": {"coupon": ""},
        "odd": {"total": 5},
    }
    orders = list(case.sandbox.orders.values())
    for order in orders if change != "half" else orders[:40]:
        order.update(changes[change])
    toy.run(after_s=900)
    words = [finding.word for finding in toy.status.findings]
    assert (*words, toy.state) == {
        "new": ("unknown_columns", "complete"),
        "gone": ("missing_columns", "complete"),
        "half": ("null_rate", "complete"),
        "odd": ("invalid_rows", "partial"),
    }[change]
