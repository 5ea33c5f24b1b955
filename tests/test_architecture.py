"""The house keeps its shape: imports go one way, names clash with nothing, files stay readable, no file names a registry or a machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "redirect", "collectors", "correlator", "alerts", "uploads", "app", "grafana")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def source_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_imports_go_one_way() -> None:
    run = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_our_package_names_clash_with_nothing_installed() -> None:
    owners = packages_distributions()
    clashes = {name: set(owners.get(name, [])) - {"clicktrace"} for name in PACKAGES}
    assert {name: others for name, others in clashes.items() if others} == {}


def test_only_the_demo_command_imports_the_simulated_world() -> None:
    allowed = {ROOT / "app" / "cli" / "demo.py"}
    guilty = [
        path.relative_to(ROOT)
        for path in source_files(*PACKAGES)
        if (ROOT / "app" / "demo") not in path.parents
        and path not in allowed
        and any(m == "app.demo" or m.startswith("app.demo.") for m in imported_modules(path))
    ]
    assert guilty == []


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        # Written in pieces, so that this file does not match itself.
        ("a package registry's host", "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.org"])),
        ("a path of one machine", r"(?<![\w.])/(?:wo" + r"rk|fa" + r"rm|ro" + r"ot)/[\w.]"),
    ],
)
def test_no_file_carries(what: str, pattern: str) -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        if re.search(pattern, text):
            found.append(str(path.relative_to(ROOT)))
    assert found == [], f"{what} stands in {found}"


def test_lock_files_pin_and_hash_everything_and_name_no_address() -> None:
    for name in ("runtime", "dev"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text("utf-8")
        requirements = [block for block in re.split(r"\n(?=\S)", text.strip()) if not block.startswith("#")]
        assert requirements
        assert all("==" in block and "--hash=sha256:" in block for block in requirements)
        assert "://" not in text


def test_no_source_file_outgrows_what_a_reader_can_hold() -> None:
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in source_files(*PACKAGES)
        if (lines := len(path.read_text("utf-8").splitlines())) > 650
    }
    assert too_long == {}


def function_sizes() -> list[tuple[int, str]]:
    sizes = []
    for path in source_files(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                sizes.append((size, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"))
    return sizes


def test_functions_stay_short() -> None:
    sizes = sorted(function_sizes())
    assert sizes[len(sizes) * 9 // 10][0] <= 35, "nine of ten functions have 35 lines or fewer"
    assert [where for size, where in sizes if size > 80] == []
