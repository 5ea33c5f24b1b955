"""The alerts about Clicktrace itself, checked and run by Prometheus' own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

RULES = Path(__file__).parent.parent.parent / "grafana" / "prometheus"


def test_promtool_accepts_the_rules() -> None:
    run = subprocess.run(
        ["promtool", "check", "rules", RULES / "rules.yaml"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rules_fire_when_they_should() -> None:
    tests = sorted(RULES.glob("rules*.test.yaml"))
    assert len(tests) == 2
    run = subprocess.run(["promtool", "test", "rules", *tests], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
